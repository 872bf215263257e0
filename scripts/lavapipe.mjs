// @ts-check
/**
 * A Vulkan device without a GPU: Mesa's lavapipe, for `npm run test:vulkan`. Debian 12 has Mesa 22, which corrupts memory under ggml's backend once
 * a module computes a second shape; this unpacks Mesa 25 of its backports into .build/lavapipe, where nothing else sees it.
 *
 *   node scripts/lavapipe.mjs            sets it up and prints the variables that choose it
 *   node scripts/lavapipe.mjs COMMAND    runs a command with them
 *
 * Compiled shaders are kept in .build/lavapipe/shaders: the first run takes long, later ones do not.
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

/** To build the backend, and what Mesa's drivers are linked to. */
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

/** Installs and unpacks what is missing. @returns {Record<string, string>} variables that choose the device */
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
    // ggml passes over software devices unless they are named.
    GGML_VK_VISIBLE_DEVICES: '0',
  };
}

function setUp() {
  const missing = packages.filter(
    (name) => spawnSync('dpkg', ['-s', name], { stdio: 'ignore' }).status !== 0,
  );
  if (missing.length > 0) {
    if (process.getuid?.() !== 0)
      throw new Error(`These packages are missing; install them: apt-get install ${missing.join(' ')}`);
    apt('update');
    apt('install', '-y', '--no-install-recommends', ...missing);
  }
  mkdirSync(join(folder, 'lists/partial'), { recursive: true });
  mkdirSync(join(folder, 'cache/archives/partial'), { recursive: true });
  const sources = join(folder, 'backports.list');
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg';
  writeFileSync(sources, `deb [signed-by=${key}] http://deb.debian.org/debian bookworm-backports main\n`);
  // An apt of its own: the machine's lists and packages stay as they are.
  const own = [`Dir::Etc::sourcelist=${sources}`, 'Dir::Etc::sourceparts=/dev/null'];
  own.push(`Dir::State::lists=${join(folder, 'lists')}`, `Dir::Cache=${join(folder, 'cache')}`);
  const flags = own.flatMap((option) => ['-o', option]);
  apt(...flags, 'update');
  apt(...flags, 'download', ...fromBackports);
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.deb'))) {
    execFileSync('dpkg-deb', ['-x', join(folder, name), unpacked]);
    rmSync(join(folder, name));
  }
  if (!existsSync(driver)) throw new Error(`${fromBackports[0]} has no ${driver}`);
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
