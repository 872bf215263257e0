// @ts-check
/**
 * Describes the public API as text, with API Extractor: every exported declaration with its signature, sorted by name.
 *
 * The declarations are emitted anew from lib/, so the report never describes an older build in dist/.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';
import { root } from './files.mjs';

/** Entry points of the package: the path of the declarations, and whether types that they use but do not export are included. */
export const entries = /** @type {const} */ ({
  safelight: { path: 'index.d.ts', reachable: true },
  // Its signatures use types of the first report, which would otherwise appear in both.
  'safelight-ai': { path: 'ai/index.d.ts', reachable: false },
});

/** The entry points' names. */
export const entryNames = /** @type {(keyof typeof entries)[]} */ (Object.keys(entries));

/**
 * Returns the report of each entry point.
 * @returns {Record<keyof typeof entries, string>}
 * @throws Error with the compiler's output if lib/ does not compile
 */
export function apiReports() {
  // Within the clone, so that imports such as zod resolve to its node_modules.
  mkdirSync(join(root, '.build'), { recursive: true });
  const folder = mkdtempSync(join(root, '.build/api-report-'));
  try {
    emitDeclarations(join(folder, 'types'));
    const reports = entryNames.map((name) => [name, reportOf(name, folder)]);
    return Object.fromEntries(reports);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} outDir */
function emitDeclarations(outDir) {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const options = ['--emitDeclarationOnly', '--sourceMap', 'false', '--outDir', outDir];
  try {
    execFileSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.json'), ...options], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  } catch (error) {
    const { stdout } = /** @type {{ stdout?: string }} */ (error);
    throw new Error(`lib/ does not compile:\n${stdout}`, { cause: error });
  }
}

/**
 * @param {keyof typeof entries} name
 * @param {string} folder contains types/, and receives the report
 */
function reportOf(name, folder) {
  const { path, reachable } = entries[name];
  const { compilerOptions } = createRequire(import.meta.url)('../tsconfig.json');
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(folder, 'types', path),
      compiler: {
        overrideTsconfig: {
          compilerOptions: { ...compilerOptions, rootDir: undefined, outDir: undefined },
          files: [join(folder, 'types', path)],
        },
      },
      apiReport: {
        enabled: true,
        reportFolder: folder,
        reportTempFolder: folder,
        reportFileName: name,
        includeForgottenExports: reachable,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
    },
    packageJsonFullPath: join(root, 'package.json'),
    configObjectFullPath: undefined,
  });
  /** @type {string[]} */
  const errors = [];
  Extractor.invoke(config, {
    localBuild: true,
    messageCallback(message) {
      message.handled = true;
      if (message.category === 'Compiler') errors.push(message.text);
    },
  });
  if (errors.length > 0) throw new Error(`The declarations of ${name} do not compile:\n${errors.join('\n')}`);
  return readFileSync(join(folder, `${name}.api.md`), 'utf8');
}
