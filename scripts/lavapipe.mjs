// @ts-check
/**
 * Sets up Mesa's software Vulkan device lavapipe for `npm run test:vulkan`. Mesa 22 of Debian 12 corrupts memory under ggml's
 * Vulkan backend when a module computes a second shape, so Mesa 25 is unpacked from Debian's backports into .build/lavapipe,
 * without installing it.
 *
 *   node scripts/lavapipe.mjs            sets it up and prints the environment variables that select it
 *   node scripts/lavapipe.mjs COMMAND    runs a command with these variables
 *
 * Compiled shaders are cached in .build/lavapipe/shaders; the first run takes much longer than later ones.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './files.mjs';

const folder = join(root, '.build/lavapipe');
const unpacked = join(folder, 'root');
const libraries = join(unpacked, 'usr/lib/x86_64-linux-gnu');
const driver = join(libraries, 'libvulkan_lvp.so');
const icd = join(folder, 'lavapipe.json');

/** Packages needed to build the backend, and libraries that Mesa's drivers link to. */
const packages = [
  ...['libvulkan-dev', 'glslc', 'glslang-tools', 'spirv-headers', 'libvulkan1', 'libllvm15', 'libelf1'],
  ...[
    'libwayland-client0',
    'libx11-xcb1',
    'libxcb-dri3-0',
    'libxcb-present0',
    'libxcb-randr0',
    'libxcb-shm0',
  ],
  ...['libxcb-sync1', 'libxcb-xfixes0', 'libxshmfence1', 'libzstd1', 'libexpat1'],
];
const fromBackports = ['mesa-vulkan-drivers', 'libdrm2', 'libdrm-amdgpu1'];

/** Installs and unpacks what is missing. @returns {Record<string, string>} environment variables that select the device */
export function lavapipe() {
  if (!existsSync(driver)) setUp();
  mkdirSync(join(folder, 'shaders'), { recursive: true });
  writeFileSync(
    icd,
    JSON.stringify({ file_format_version: '1.0.0', ICD: { library_path: driver, api_version: '1.4.305' } }),
  );
  return {
    VK_DRIVER_FILES: icd,
    LD_LIBRARY_PATH: [libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
    MESA_SHADER_CACHE_DIR: join(folder, 'shaders'),
    // ggml ignores software devices unless this variable lists them.
    GGML_VK_VISIBLE_DEVICES: '0',
  };
}

function setUp() {
  const missing = packages.filter(
    (name) => spawnSync('dpkg', ['-s', name], { stdio: 'ignore' }).status !== 0,
  );
  if (missing.length > 0) {
    if (process.getuid?.() !== 0)
      throw new Error(`Packages are missing. Install them: apt-get install ${missing.join(' ')}`);
    apt('update');
    apt('install', '-y', '--no-install-recommends', ...missing);
  }
  mkdirSync(join(folder, 'lists/partial'), { recursive: true });
  mkdirSync(join(folder, 'cache/archives/partial'), { recursive: true });
  const sources = join(folder, 'backports.list');
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg';
  writeFileSync(sources, `deb [signed-by=${key}] http://deb.debian.org/debian bookworm-backports main\n`);
  // Separate apt folders leave the machine's package lists and packages unchanged.
  const own = [`Dir::Etc::sourcelist=${sources}`, 'Dir::Etc::sourceparts=/dev/null'];
  own.push(`Dir::State::lists=${join(folder, 'lists')}`, `Dir::Cache=${join(folder, 'cache')}`);
  const flags = own.flatMap((option) => ['-o', option]);
  apt(...flags, 'update');
  apt(...flags, 'download', ...fromBackports);
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.deb'))) {
    execFileSync('dpkg-deb', ['-x', join(folder, name), unpacked]);
    rmSync(join(folder, name));
  }
  if (!existsSync(driver)) throw new Error(`${fromBackports[0]} does not contain ${driver}`);
}

/** @param {string[]} args */
function apt(...args) {
  execFileSync('apt-get', ['-qq', ...args], {
    cwd: folder,
    stdio: ['ignore', process.stderr, process.stderr],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  mkdirSync(folder, { recursive: true });
  const variables = lavapipe();
  const [command, ...args] = process.argv.slice(2);
  if (command === undefined) {
    for (const [name, value] of Object.entries(variables)) console.log(`export ${name}='${value}'`);
  } else {
    const { status } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...variables } });
    process.exit(status ?? 1);
  }
}
