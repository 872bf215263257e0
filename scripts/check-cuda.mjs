// @ts-check
/**
 * `npm run check:cuda`: checks without a GPU that the CUDA backend configures and compiles. It fetches NVIDIA's compiler from PyPI, configures the
 * addon with it for one architecture, and compiles our sources and a sample of ggml's. All files of ggml's backend take about an
 * hour on two cores. Nothing is linked or run.
 *
 *   node scripts/check-cuda.mjs [FILE.cu ...]
 *
 * Needs Linux on x86-64, CMake, a C++ compiler that nvcc takes (GCC 12 does), Python with pip, and 1.5 GB in .build.
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
/** The dispatcher, and operations of our graphs. Left out: those with many template instances, which take a minute and more (mmq, fattn, binbcast, mmvf). */
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
  fail(`NVIDIA's wheels are pinned for Linux on x86-64, and this is ${process.platform}-${process.arch}`);
const started = performance.now();
fetchToolkit();
configure();
const failed = await compileAll(wantedCommands());
console.log(`${failed === 0 ? 'all compiled' : `${failed} failed`} in ${seconds(started)}`);
process.exit(failed === 0 ? 0 : 1);

/** Unpacks the pinned wheels into one folder, where nvcc and CMake find what a toolkit has. */
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
  run('python3', [...pip, '--requirement', requirements], "fetching NVIDIA's wheels from PyPI");
  // The wheels' libraries are under lib and have no name without a version, which a linker looks for.
  symlinkSync('lib', join(toolkit, 'lib64'));
  for (const name of readdirSync(join(toolkit, 'lib'))) {
    const plain = /^(.*\.so)\.\d+$/.exec(name)?.[1];
    if (plain) symlinkSync(name, join(toolkit, 'lib', plain));
  }
  writeFileSync(note, wanted);
  console.log(`ok      NVIDIA's compiler (${seconds(begun)})`);
}

/** By cmake-js, like scripts/build-native.mjs: it knows where Node's headers are. */
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

/** The compiler calls of the chosen CUDA files, of ggml's list of backends, and of our own sources. */
function wantedCommands() {
  /** @type {Command[]} */
  const all = JSON.parse(readFileSync(join(folder, 'compile_commands.json'), 'utf8'));
  const named = process.argv.slice(2);
  const cuda = (named.length > 0 ? named : SAMPLE).map((name) => {
    const found = all.find(({ file }) => basename(file) === name);
    return found ?? fail(`${name} is no file of ggml's CUDA backend`);
  });
  if (named.length > 0) return cuda;
  const registry = all.filter(({ file }) => file.endsWith('/ggml-backend-reg.cpp'));
  const ours = all.filter(
    ({ file, command }) => file.startsWith(join(root, 'native/')) && !command.includes('kernels'),
  );
  if (registry.length === 0 || ours.length === 0)
    fail('compile_commands.json lacks our sources or ggml-backend-reg.cpp');
  return [...cuda, ...registry, ...ours];
}

/** One a core at a time. @param {Command[]} commands @returns {Promise<number>} how many failed */
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
 * The output is shown only of what fails.
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
