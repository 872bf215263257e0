// @ts-check
/**
 * `npm run check:cuda`: checks without a GPU that the CUDA backend configures and compiles. It downloads NVIDIA's compiler
 * from PyPI, configures the addon for one GPU architecture, and compiles our sources and a sample of ggml's CUDA files; all
 * of them take about an hour on two cores. Nothing is linked or run.
 *
 *   node scripts/check-cuda.mjs [FILE.cu ...]
 *
 * Requires Linux on x86-64, CMake, a C++ compiler that nvcc supports (such as GCC 12), Python with pip, and 1.5 GB of disk
 * space in .build.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { root } from './files.mjs';

const ARCHITECTURE = '90';
/**
 * The dispatcher and operations that our graphs use, without those whose template instances take a minute or more to compile
 * (mmq, fattn, binbcast, mmvf).
 */
const SAMPLE = [
  ...[
    'ggml-cuda.cu',
    'argmax.cu',
    'clamp.cu',
    'concat.cu',
    'conv2d.cu',
    'convert.cu',
    'cpy.cu',
    'getrows.cu',
  ],
  ...['im2col.cu', 'mmf.cu', 'norm.cu', 'pad.cu', 'pool2d.cu', 'quantize.cu', 'scale.cu', 'set-rows.cu'],
  ...['softmax.cu', 'sumrows.cu', 'unary.cu', 'upscale.cu'],
];

const requirements = join(root, 'scripts/cuda-toolkit.txt');
const downloads = join(root, '.build/cuda-toolkit');
const toolkit = join(downloads, 'nvidia/cu13');
const nvcc = join(toolkit, 'bin/nvcc');
const folder = join(root, '.build/cuda-check');

if (process.platform !== 'linux' || process.arch !== 'x64')
  fail(`NVIDIA's wheels are pinned for linux-x64, received ${process.platform}-${process.arch}`);
const started = performance.now();
fetchToolkit();
configure();
const failed = await compileAll(wantedCommands());
console.log(`${failed === 0 ? 'All files compiled' : `${failed} files failed`} in ${seconds(started)}`);
process.exit(failed === 0 ? 0 : 1);

/** Unpacks the pinned wheels into one folder with the layout of a CUDA toolkit. */
function fetchToolkit() {
  const note = join(downloads, '.requirements');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(note) && readFileSync(note, 'utf8') === wanted) return;
  const begun = performance.now();
  rmSync(downloads, { recursive: true, force: true });
  const pip = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '--no-cache-dir',
    '--no-deps',
  ];
  pip.push('--only-binary=:all:', '--require-hashes', '--root-user-action=ignore', '--target', downloads);
  run('python3', [...pip, '--requirement', requirements], "downloading NVIDIA's wheels from PyPI");
  // CMake searches lib64, and linkers search names without a version; the wheels have neither.
  symlinkSync('lib', join(toolkit, 'lib64'));
  for (const name of readdirSync(join(toolkit, 'lib'))) {
    const plain = /^(.*\.so)\.\d+$/.exec(name)?.[1];
    if (plain) symlinkSync(name, join(toolkit, 'lib', plain));
  }
  writeFileSync(note, wanted);
  console.log(`ok      NVIDIA's compiler (${seconds(begun)})`);
}

/** Configures with cmake-js, as scripts/build-native.mjs does, because it locates Node's headers. */
function configure() {
  const begun = performance.now();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const variables = {
    SAFELIGHT_CUDA: 'ON',
    SAFELIGHT_WERROR: 'ON',
    CUDAToolkit_ROOT: toolkit,
    CMAKE_CUDA_COMPILER: nvcc,
    CMAKE_CUDA_ARCHITECTURES: ARCHITECTURE,
  };
  const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const flags = Object.entries(variables).map(([name, value]) => `--CD${name}=${value}`);
  run(
    process.execPath,
    [cmakeJs, 'configure', '-d', root, '-O', folder, '-l', 'warn', ...flags],
    'configuring',
  );
  console.log(`ok      configure (${seconds(begun)})`);
}

/**
 * @typedef {object} Command
 * @property {string} directory
 * @property {string} command
 * @property {string} file
 */

/** Returns the compiler calls of the chosen CUDA files, of ggml's backend registry and of our sources. */
function wantedCommands() {
  /** @type {Command[]} */
  const all = JSON.parse(readFileSync(join(folder, 'compile_commands.json'), 'utf8'));
  const named = process.argv.slice(2);
  const cuda = (named.length > 0 ? named : SAMPLE).map((name) => {
    const found = all.find(({ file }) => basename(file) === name);
    return found ?? fail(`${name} is not a file of ggml's CUDA backend`);
  });
  if (named.length > 0) return cuda;
  const registry = all.filter(({ file }) => file.endsWith('/ggml-backend-reg.cpp'));
  const ours = all.filter(
    ({ file, command }) => file.startsWith(join(root, 'native/')) && !command.includes('kernels'),
  );
  if (registry.length === 0 || ours.length === 0)
    fail('compile_commands.json must contain our sources and ggml-backend-reg.cpp');
  return [...cuda, ...registry, ...ours];
}

/** Compiles one file per core at a time. @param {Command[]} commands @returns {Promise<number>} the number of failures */
async function compileAll(commands) {
  let failed = 0;
  const waiting = [...commands];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const begun = performance.now();
      const { status, output } = await compile(next);
      if (status !== 0) failed++;
      const name = next.file.startsWith(`${root}/native/`)
        ? next.file.slice(root.length + 1)
        : basename(next.file);
      console.log(`${status === 0 ? 'ok     ' : 'FAILED '} ${name} (${seconds(begun)})`);
      if (status !== 0) console.log(output);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return failed;
}

/** @param {Command} command @returns {Promise<{ status: number | null, output: string }>} */
function compile({ command, directory }) {
  return new Promise((done, reject) => {
    const child = spawn('/bin/sh', ['-c', command], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        output += data;
      });
    child.on('error', reject).on('close', (status) => done({ status, output }));
  });
}

/**
 * Runs a program and prints its output only if it fails.
 * @param {string} program @param {string[]} args @param {string} what
 */
function run(program, args, what) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { cwd: root, encoding: 'utf8' });
  if (!error && status === 0) return stdout;
  if (!error) console.error(stdout + stderr);
  return fail(`${what} failed: ${error?.message ?? `${program} ended with ${status}`}`);
}

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(`check-cuda: ${message}`);
  process.exit(1);
}

/** @param {number} since */
function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
