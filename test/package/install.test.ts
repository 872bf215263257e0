/**
 * Installs the tarballs that npm would publish (safelight, @safelight/starter and the package of this platform, with the addon
 * compiled in this clone) in an empty project, with a PATH without compiler, CMake and Python, and uses them there.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { platformName } from '../../lib/binding/platform.js';
import { npmFolder, npmMissing, npmRun, root } from './npm.js';

interface Packed {
  readonly name: string;
  readonly version: string;
  readonly filename: string;
  readonly integrity: string;
  readonly files: readonly { readonly path: string }[];
}
interface Manifest {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, object>>;
  readonly [field: string]: unknown;
}

/** Megabytes that the installed packages may take on Linux on x64, as docs/platforms.md states. */
const MAX_SIZE = 90;

const addon = join(root, 'build/Release/safelight.node');
const skip = reasonToSkip();
if (skip) console.warn(`The installation test is skipped because ${skip}.`);

describe.skipIf(skip)('the packed packages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-install-'));
  const project = join(folder, 'project');
  const modules = join(project, 'node_modules');
  const platform = platformName();
  const packed: Packed[] = [];
  let offline = '';
  let warnings = '';

  beforeAll(() => {
    packed.push(pack(root), pack(join(root, 'models')), packPlatform());
    try {
      install();
    } catch (error) {
      if (!/ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|ENETUNREACH|ENOTCACHED/.test(String(error))) throw error;
      offline = 'the dependencies are not in the npm cache and no registry can be reached';
      console.warn(`The installation test is skipped because ${offline}.`);
    }
  }, 180_000);
  beforeEach((context) => context.skip(offline !== '', offline));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const filesOf = (index: number) => (packed[index]?.files ?? []).map(({ path }) => path);
  const manifestOf = (name: string) =>
    JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')) as Manifest;

  it('contain the program and the sources of the addon, but no binary, models or development files', () => {
    for (const file of [
      'LICENSE',
      'dist/index.js',
      'dist/index.d.ts',
      'dist/cli/main.js',
      'dist/web/index.html',
      'dist/THIRD-PARTY.md',
      'native/addon/module.cpp',
      'CMakeLists.txt',
      'scripts/build-native.mjs',
    ])
      expect(filesOf(0)).toContain(file);
    const unwanted =
      /^(test|bench|build|\.build|node_modules|\.ci|lib|models|prebuilds)\/|\.(node|safetensors)$/;
    expect(filesOf(0).filter((file) => unwanted.test(file))).toEqual([]);
    expect(filesOf(1)).toEqual(
      expect.arrayContaining([
        'sketch/model.safetensors',
        'starter/unet/diffusion_pytorch_model.safetensors',
      ]),
    );
  });

  it('contain the addon in the package of the platform, which is restricted to it', () => {
    expect(filesOf(2).sort()).toEqual(
      ['LICENSE', 'README.md', 'THIRD-PARTY.md', 'package.json', 'safelight.node'].sort(),
    );
    const [os] = platform.split(/musl|-/);
    expect(manifestOf(`@safelight/${platform}`)).toMatchObject({ os: [os], cpu: [process.arch] });
    expect(readFileSync(join(modules, `@safelight/${platform}/THIRD-PARTY.md`), 'utf8')).toContain(
      'The ggml authors',
    );
    // The clone keeps its package.json, and no files of the tarball.
    const inClone = JSON.parse(readFileSync(join(root, 'prebuilds', platform, 'package.json'), 'utf8'));
    expect(inClone).not.toHaveProperty('os');
    expect(readdirSync(join(root, 'prebuilds', platform))).not.toContain('THIRD-PARTY.md');
  });

  it('have no install script, nor does any package that they need', () => {
    const scripts = installedPackages().filter((name) => {
      const { scripts: { preinstall, install, postinstall } = {}, gypfile } = manifestOf(name);
      return preinstall ?? install ?? postinstall ?? (gypfile === true || hasGyp(name));
    });
    expect(scripts).toEqual([]);
    // npm runs node-gyp if gypfile is true or binding.gyp exists; with a lock file it does so even if gypfile is false.
    expect(filesOf(0)).not.toContain('binding.gyp');
  });

  it('install without a warning about the version of Node or about scripts', () => {
    expect(warnings).not.toMatch(/EBADENGINE|install-scripts/);
    expect(manifestOf('safelight')).not.toHaveProperty('scripts');
    expect(manifestOf('safelight')).not.toHaveProperty('workspaces');
  });

  it.runIf(platform === 'linux-x64')(`take at most ${MAX_SIZE} MB with the models`, () => {
    expect(sizeOf(modules) / 1e6).toBeLessThanOrEqual(MAX_SIZE);
  });

  it('find the addon without a compiler', () => {
    const backends = JSON.parse(npx('safelight', 'backends', '--json'));
    expect(JSON.stringify(backends)).toContain('cpu');
  });

  it.each([
    ['import', `const s = await import('safelight'); console.log(typeof s.Pipeline, s.backends()[0].name);`],
    ['require', `const s = require('safelight'); console.log(typeof s.Pipeline, s.backends()[0].name);`],
  ])('can be loaded with %s', (form, script) => {
    const args = [`--input-type=${form === 'import' ? 'module' : 'commonjs'}`, '-e', script];
    expect(execFileSync(process.execPath, args, { cwd: project, encoding: 'utf8' }).trim()).toBe(
      'function cpu',
    );
  });

  it('generate an image with the bundled model', () => {
    const args = ['generate', 'a red apple', '--steps', '1', '--output', 'apple.png', '--json'];
    expect(JSON.parse(npx('safelight', ...args)).images).toHaveLength(1);
    expect(readFileSync(join(project, 'apple.png')).subarray(1, 4).toString()).toBe('PNG');
  });

  it('contain all sources that `safelight build` compiles', () => {
    const headers = join(root, 'node_modules');
    const args = [
      ...['-S', join(modules, 'safelight'), '-B', join(folder, 'cmake')],
      `-DSAFELIGHT_GGML=${join(headers, 'ggml-source/cpp/whisper.cpp/ggml')}`,
      `-DCMAKE_JS_INC=${join(headers, 'node-api-headers/include')};${join(headers, 'node-addon-api')}`,
    ];
    const { status, stdout, stderr } = spawnSync('cmake', args, { encoding: 'utf8' });
    expect(`${status} ${status === 0 ? '' : stdout + stderr}`).toBe('0 ');
  });

  it('name the package to install if the addon is missing', () => {
    rmSync(join(modules, '@safelight', platform), { recursive: true });
    expect(() => npx('safelight', 'backends')).toThrow(`npm install @safelight/${platform}`);
  });

  function pack(source: string): Packed {
    const { stdout } = npmRun(source, process.env, 'pack', '--json', '--pack-destination', folder);
    return JSON.parse(stdout)[0];
  }

  /** Packs the package of this platform from prebuilds/, with the addon of this clone unless a prebuilt one is there. */
  function packPlatform(): Packed {
    const binary = join(root, 'prebuilds', platform, 'safelight.node');
    const isPrebuilt = existsSync(binary);
    if (!isPrebuilt) copyFileSync(addon, binary);
    try {
      return pack(join(root, 'prebuilds', platform));
    } finally {
      if (!isPrebuilt) rmSync(binary);
    }
  }

  /** Runs `npm ci` in a project with the dependencies of our lock file, so that the npm cache suffices. */
  function install(): void {
    mkdirSync(project);
    const source = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
    const dependencies = Object.fromEntries(
      packed.map(({ name, filename }) => [name, `file:../${basename(filename)}`]),
    );
    const packages: Record<string, object> = { '': { dependencies }, ...lockedDependencies(source) };
    for (const { name, version, filename, integrity } of packed) {
      const resolved = `file:../${basename(filename)}`;
      packages[`node_modules/${name}`] = { version, resolved, integrity };
    }
    Object.assign(packages['node_modules/safelight']!, {
      bin: source.bin,
      dependencies: source.dependencies,
    });
    const document = { name: 'project', lockfileVersion: 3, requires: true, packages };
    writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, dependencies }));
    writeFileSync(join(project, 'package-lock.json'), JSON.stringify(document));
    warnings = npmRun(project, bareEnvironment(), 'ci', '--prefer-offline', '--fetch-retries=1').stderr;
  }

  /** Returns the names of the packages in node_modules. */
  function installedPackages(): string[] {
    return readdirSync(modules)
      .filter((name) => !name.startsWith('.'))
      .flatMap((name) =>
        name.startsWith('@') ? readdirSync(join(modules, name)).map((part) => `${name}/${part}`) : [name],
      );
  }

  function hasGyp(name: string): boolean {
    return existsSync(join(modules, name, 'binding.gyp'));
  }

  /** Returns an environment whose PATH contains only node and a shell. */
  function bareEnvironment(): NodeJS.ProcessEnv {
    const bin = join(folder, 'bin');
    if (!existsSync(bin)) {
      mkdirSync(bin);
      symlinkSync(process.execPath, join(bin, 'node'));
      symlinkSync(realpathSync('/bin/sh'), join(bin, 'sh'));
    }
    const kept = Object.entries(process.env).filter(
      ([name]) => !/^(npm_(?!config_(registry|cache|userconfig)$)|NODE_OPTIONS|VITEST|CC$|CXX$)/.test(name),
    );
    return { ...Object.fromEntries(kept), PATH: bin };
  }

  function npx(...args: string[]): string {
    const all = [join(npmFolder, 'npx-cli.js'), '--no', '--', ...args];
    return execFileSync(process.execPath, all, {
      cwd: project,
      env: bareEnvironment(),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }
});

/** Returns the entries of our lock file that the package's dependencies need, with the addresses of their tarballs. */
function lockedDependencies({ dependencies = {} }: Manifest): Record<string, object> {
  interface Entry {
    readonly version: string;
    readonly link?: boolean;
    readonly dependencies?: Readonly<Record<string, string>>;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  }
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Entry>;
  };
  const needed: Record<string, object> = {};
  const add = (name: string, parent: string): void => {
    const path = [`${parent}/node_modules/${name}`, `node_modules/${name}`].find(
      (key) => key in lock.packages,
    );
    const entry = path === undefined ? undefined : lock.packages[path];
    if (!path || !entry || entry.link || path in needed) return;
    needed[path] = {
      resolved: `https://registry.npmjs.org/${name}/-/${basename(name)}-${entry.version}.tgz`,
      ...entry,
    };
    for (const child of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }))
      add(child, path);
  };
  for (const name of Object.keys(dependencies)) add(name, '');
  return needed;
}

/** Returns the bytes that a folder takes on the disk. */
function sizeOf(path: string): number {
  const entry = statSync(path);
  if (!entry.isDirectory()) return entry.blocks * 512;
  return readdirSync(path, { withFileTypes: true })
    .filter((child) => !child.isSymbolicLink())
    .reduce((sum, { name }) => sum + sizeOf(join(path, name)), entry.blocks * 512);
}

function reasonToSkip(): string {
  if (process.platform === 'win32') return 'it requires symbolic links and a POSIX shell';
  if (npmMissing) return npmMissing;
  if (!existsSync(addon)) return 'the addon is not compiled in build/Release';
  if (spawnSync('cmake', ['--version']).status !== 0) return 'CMake is not installed';
  return '';
}
