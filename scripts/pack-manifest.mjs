// @ts-check
/**
 * `prepack` and `postpack` of safelight and of the packages in prebuilds/: changes package.json for the tarball only.
 *
 * - Scripts, workspaces and overrides are removed, which only a clone uses. npm would ask users to approve `prepare`.
 * - A platform package gets `os`, `cpu` and `libc`, from the name of its folder. npm refuses a workspace whose package.json
 *   names another system than the present one.
 * - A platform package gets the licenses of the code in its binary.
 *
 *   node scripts/pack-manifest.mjs add|remove   (in the folder of the package)
 */
import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { root } from './files.mjs';

const folder = process.cwd();
const isPlatform = dirname(folder) === join(root, 'prebuilds');
const manifest = join(folder, 'package.json');
const original = join(folder, '.package.json.original');
const licenses = ['LICENSE', 'THIRD-PARTY.md'].map((name) => join(folder, name));

/**
 * Returns the fields of package.json that restrict a package to its system.
 * @param {string} name such as `linuxmusl-x64` or `win32-x64-cuda`
 * @returns {{ os: string[], cpu: string[], libc?: string[] }}
 */
function systemOf(name) {
  const [, os = '', musl, cpu = ''] = /^(darwin|linux|win32)(musl)?-(arm64|x64)(?:-\w+)?$/.exec(name) ?? [];
  if (!os) throw new Error(`${name} is not the name of a platform`);
  return { os: [os], cpu: [cpu], ...(os === 'linux' && { libc: [musl ?? 'glibc'] }) };
}

function add() {
  remove(); // what an interrupted `npm pack` left
  const { scripts: _, workspaces, overrides, ...fields } = JSON.parse(readFileSync(manifest, 'utf8'));
  if (isPlatform) checkBinaries(fields.files);
  renameSync(manifest, original);
  const system = isPlatform ? systemOf(basename(folder)) : {};
  writeFileSync(manifest, `${JSON.stringify({ ...fields, ...system }, null, 2)}\n`);
  if (!isPlatform) return;
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  const ggml = readFileSync(join(root, 'node_modules/ggml-source/cpp/whisper.cpp/LICENSE'), 'utf8');
  writeFileSync(join(folder, 'THIRD-PARTY.md'), `# Software in this binary\n\n## ggml\n\n${ggml.trim()}\n`);
}

/** @param {readonly string[]} files */
function checkBinaries(files) {
  const missing = files.filter((name) => name.endsWith('.node') && !existsSync(join(folder, name)));
  if (missing.length === 0) return;
  const command = `node scripts/prebuild.mjs ${basename(folder)}`;
  throw new Error(`${basename(folder)} has no ${missing.join(' and ')}: run \`${command}\``);
}

function remove() {
  if (existsSync(original)) renameSync(original, manifest);
  if (isPlatform) for (const file of licenses) rmSync(file, { force: true });
}

try {
  if (process.argv[2] === 'add') add();
  else if (process.argv[2] === 'remove') remove();
} catch (error) {
  console.error(`safelight prepack: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
