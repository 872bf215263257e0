// @ts-check
/**
 * `prepack` and `postpack` of the packages in prebuilds/. npm refuses a workspace whose package.json names another system than
 * the present one, so `os`, `cpu` and `libc` are added for the tarball only, from the name of the folder. Adds the licenses of
 * the linked code too, and removes these two scripts.
 *
 *   node scripts/pack-platform.mjs add|remove   (in the folder of the package)
 */
import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { root } from './files.mjs';

const folder = process.cwd();
const manifest = join(folder, 'package.json');
const original = join(folder, '.package.json.original');
const licenses = ['LICENSE', 'THIRD-PARTY.md'].map((name) => join(folder, name));

/**
 * Returns the fields of package.json that restrict a package to its system.
 * @param {string} name such as `linuxmusl-x64` or `win32-x64-cuda`
 * @returns {{ os: string[], cpu: string[], libc?: string[] }}
 */
export function systemOf(name) {
  const [, os = '', musl, cpu = ''] = /^(darwin|linux|win32)(musl)?-(arm64|x64)(?:-\w+)?$/.exec(name) ?? [];
  if (!os) throw new Error(`${name} is not the name of a platform`);
  return { os: [os], cpu: [cpu], ...(os === 'linux' && { libc: [musl ?? 'glibc'] }) };
}

function add() {
  const missing = filesOf().filter((name) => name.endsWith('.node') && !existsSync(join(folder, name)));
  if (missing.length > 0)
    throw new Error(
      `${basename(folder)} has no ${missing.join(' and ')}: run \`node scripts/prebuild.mjs ${basename(folder)}\``,
    );
  remove(); // what an interrupted `npm pack` left
  renameSync(manifest, original);
  const { scripts: _, ...fields } = JSON.parse(readFileSync(original, 'utf8'));
  writeFileSync(manifest, `${JSON.stringify({ ...fields, ...systemOf(basename(folder)) }, null, 2)}\n`);
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  const ggml = readFileSync(join(root, 'node_modules/ggml-source/cpp/whisper.cpp/LICENSE'), 'utf8');
  writeFileSync(join(folder, 'THIRD-PARTY.md'), `# Software in this binary\n\n## ggml\n\n${ggml.trim()}\n`);
}

function remove() {
  if (existsSync(original)) renameSync(original, manifest);
  for (const file of licenses) rmSync(file, { force: true });
}

/** @returns {string[]} */
function filesOf() {
  return JSON.parse(readFileSync(existsSync(original) ? original : manifest, 'utf8')).files;
}

try {
  if (process.argv[2] === 'add') add();
  else if (process.argv[2] === 'remove') remove();
} catch (error) {
  console.error(`safelight prepack: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
