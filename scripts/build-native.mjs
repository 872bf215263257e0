// @ts-check
/**
 * Compiles the addon with cmake-js and copies it to where lib/binding loads it from: build/Release/safelight.node, or for a
 * GPU backend build/gpu/safelight-BACKEND.node. Separate files keep the CPU addon independent of GPU libraries. Called by
 * `npm run build:native`, and by `safelight build` in an installed package, where cmake-js, node-addon-api and ggml's source are
 * missing: it installs them in .build/tools.
 *
 *   node scripts/build-native.mjs [--cpu|--cuda|--metal|--vulkan] [--werror]
 *
 * CMake builds in .build/BACKEND. node-gyp does not clean that folder, so a second build compiles only what changed.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from './files.mjs';

const backends = ['cpu', 'cuda', 'metal', 'vulkan'];
const backend = backends.find((name) => process.argv.includes(`--${name}`)) ?? 'cpu';
const folder = join(root, '.build', backend);

const flags = [
  ...(backend === 'cpu' ? [] : [`--CDSAFELIGHT_${backend.toUpperCase()}=ON`]),
  // Passed on because ggml overrides CMAKE_CUDA_ARCHITECTURES with a list of all GPU generations: hours of nvcc.
  ...(backend === 'cuda' && process.env.CUDAARCHS
    ? [`--CDCMAKE_CUDA_ARCHITECTURES=${process.env.CUDAARCHS}`]
    : []),
  `--CDSAFELIGHT_WERROR=${process.argv.includes('--werror') ? 'ON' : 'OFF'}`,
];

const tools = await findTools();
if (tools) flags.push(`--CDSAFELIGHT_GGML=${join(tools, 'node_modules/ggml-source/cpp/whisper.cpp/ggml')}`);
discardForeignCache();
const built = join(folder, 'Release/safelight.node');
if (!existsSync(join(folder, 'CMakeCache.txt')) || flagsChanged()) cmakeJs('configure', ...flags);
cmakeJs('build', '-p', String(availableParallelism()));
// GPU addons have another folder than the CPU addon because node-gyp-build loads the first .node file of a folder.
install(
  built,
  join(root, backend === 'cpu' ? 'build/Release/safelight.node' : `build/gpu/safelight-${backend}.node`),
);
const testDevice = join(folder, 'Release/safelight-test-device.node');
// Named like a GPU backend, so that test/gpu can load it through SAFELIGHT_GPU_BINARIES.
if (existsSync(testDevice)) install(testDevice, join(root, 'build/test-device/safelight-vulkan.node'));
if (backend === 'cpu')
  install(join(folder, 'compile_commands.json'), join(root, 'build/compile_commands.json'));
writeFileSync(join(folder, '.flags'), flags.join(' '));

/**
 * Returns the folder in which the packages that only compiling needs are installed; undefined in a clone, whose dev dependencies
 * they are. Their versions are those of package.json.
 * @returns {Promise<string | undefined>}
 */
async function findTools() {
  const packages = ['cmake-js', 'node-addon-api', 'ggml-source'];
  const has = (/** @type {string} */ place) =>
    packages.every((name) => existsSync(join(place, 'node_modules', name, 'package.json')));
  if (has(root)) return undefined;
  const place = join(root, '.build/tools');
  if (has(place)) return place;
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const wanted = packages.map((name) => `${name}@${devDependencies[name]}`);
  console.error(`Installing ${packages.join(', ')} in ${place}`);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), '{ "private": true }\n');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--omit=dev', ...wanted];
  // Variables of an npm that runs this script would name another project.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(?!config_(registry|cache|userconfig)$)/i.test(name),
    ),
  );
  const { status, error } = spawnSync(npm, args, {
    ...{ cwd: place, env, stdio: 'inherit', shell: process.platform === 'win32' },
  });
  if (error || status !== 0 || !has(place)) {
    const reason = error ? error.message : 'npm reports the error above';
    console.error(`Cannot install ${wanted.join(', ')} from the npm registry: ${reason}`);
    process.exit(1);
  }
  return place;
}

/** @param {string} command @param {string[]} args */
function cmakeJs(command, ...args) {
  const program = createRequire(join(tools ?? root, 'package.json')).resolve('cmake-js/bin/cmake-js');
  const all = [program, command, '-d', root, '-O', folder, '-l', 'warn', ...args];
  const { status, error } = spawnSync(process.execPath, all, {
    cwd: root,
    stdio: 'inherit',
    env: tools ? { ...process.env, NODE_PATH: join(tools, 'node_modules') } : process.env,
  });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** Deletes the build folder if it was moved or copied: CMake refuses a cache with another source path. */
function discardForeignCache() {
  const cache = join(folder, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1];
  if (home !== root) rmSync(folder, { recursive: true, force: true });
}

function flagsChanged() {
  const note = join(folder, '.flags');
  return !existsSync(note) || readFileSync(note, 'utf8') !== flags.join(' ');
}

/**
 * Replaces a file by renaming, because a running process may have the old one mapped.
 * @param {string} from @param {string} to
 */
function install(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}
