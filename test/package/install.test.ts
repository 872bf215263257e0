/**
 * Installs the tarball that npm would publish in an empty project, with a PATH without compiler, CMake and Python, and uses it
 * there.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { npmFolder, npmMissing, npmRun, root } from './npm.js';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const skip = reasonToSkip();
if (skip) console.warn(`The installation test is skipped because ${skip}.`);

describe.skipIf(skip)('the packed package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-install-'));
  const project = join(folder, 'project');
  const installed = join(project, 'node_modules/safelight');
  let files: string[] = [];
  let offline = '';
  let warnings = '';

  beforeAll(() => {
    npmRun(root, process.env, 'run', 'prebuild');
    const packing = ['pack', '--json', '--pack-destination', folder];
    const [packed] = JSON.parse(npmRun(root, process.env, ...packing).stdout);
    files = packed.files.map(({ path }: { path: string }) => path);
    try {
      install(join(folder, packed.filename), packed.integrity);
    } catch (error) {
      if (!/ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|ENETUNREACH|ENOTCACHED/.test(String(error))) throw error;
      offline = 'the dependencies are not in the npm cache and no registry can be reached';
      console.warn(`The installation test is skipped because ${offline}.`);
    }
  }, 180_000);
  beforeEach((context) => context.skip(offline !== '', offline));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('contains the program, the binary, the models and the sources, and no development files', () => {
    const platform = `${process.platform}-${process.arch}`;
    for (const file of [
      'LICENSE',
      'dist/index.js',
      'dist/index.d.ts',
      'dist/cli/main.js',
      `prebuilds/${platform}/safelight.node`,
      'models/starter/LICENSE',
      'models/starter/unet/diffusion_pytorch_model.safetensors',
      'native/addon/module.cpp',
      'native/ggml/LICENSE',
      'native/ggml/CMakeLists.txt',
      'native/ggml/src/ggml-vulkan/CMakeLists.txt',
      'CMakeLists.txt',
      'scripts/build-native.mjs',
    ])
      expect(files).toContain(file);
    expect(files.filter((file) => file.startsWith(`prebuilds/${platform}/`))).toHaveLength(1);
    expect(files.filter((file) => /^(test|bench|build|\.build|node_modules|\.ci)\//.test(file))).toEqual([]);
  });

  it('removes the copy of ggml from the clone after packing', () => {
    expect(existsSync(join(root, 'native/ggml'))).toBe(false);
  });

  it('has no install script', () => {
    const { scripts, gypfile } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    expect(Object.keys(scripts)).not.toEqual(expect.arrayContaining([expect.stringMatching(/install$/)]));
    // npm runs node-gyp if gypfile is true or binding.gyp exists; with a lock file it does so even if gypfile is false.
    expect(gypfile).toBe(false);
    expect(files).not.toContain('binding.gyp');
    expect(existsSync(join(installed, 'build'))).toBe(false);
  });

  it('installs without a warning about the version of Node', () => {
    expect(warnings).not.toContain('EBADENGINE');
  });

  it('finds its binary without a compiler', () => {
    const backends = JSON.parse(npx('safelight', 'backends', '--json'));
    expect(JSON.stringify(backends)).toContain('cpu');
  });

  it('can be imported', () => {
    const script = `const s = await import('safelight'); console.log(typeof s.Pipeline, s.backends()[0].name);`;
    const args = ['--input-type=module', '-e', script];
    expect(execFileSync(process.execPath, args, { cwd: project, encoding: 'utf8' }).trim()).toBe(
      'function cpu',
    );
  });

  it('generates an image', () => {
    const out = npx(
      'safelight',
      'generate',
      'a red apple',
      '--steps',
      '1',
      '--output',
      'apple.png',
      '--json',
    );
    expect(JSON.parse(out).images).toHaveLength(1);
    expect(readFileSync(join(project, 'apple.png')).subarray(1, 4).toString()).toBe('PNG');
  });

  it('contains all sources that `safelight build` compiles', () => {
    const cmakeJs = join(project, 'node_modules/cmake-js/bin/cmake-js');
    const args = [cmakeJs, 'configure', '-d', installed, '-O', join(folder, 'cmake'), '-l', 'error'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(`${status} ${status === 0 ? '' : stdout + stderr}`).toBe('0 ');
  });

  /** Runs `npm ci` in a project with the dependencies of our lock file, so that the npm cache suffices. */
  function install(tarball: string, integrity: string): void {
    mkdirSync(project);
    const dependencies = { safelight: `file:../${basename(tarball)}` };
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
    const packages: Record<string, object> = { '': { dependencies } };
    for (const [path, entry] of Object.entries<{ dev?: boolean; version: string }>(lock.packages)) {
      if (path === '' || entry.dev) continue;
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
      const file = `${basename(name)}-${entry.version}.tgz`;
      packages[path] = { resolved: `https://registry.npmjs.org/${name}/-/${file}`, ...entry };
    }
    const { version, bin } = manifest;
    const resolved = dependencies.safelight;
    packages['node_modules/safelight'] = {
      version,
      resolved,
      integrity,
      bin,
      dependencies: manifest.dependencies,
    };
    const document = { name: 'project', lockfileVersion: 3, requires: true, packages };
    writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, dependencies }));
    writeFileSync(join(project, 'package-lock.json'), JSON.stringify(document));
    warnings = npmRun(project, bareEnvironment(), 'ci', '--prefer-offline', '--fetch-retries=1').stderr;
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

function reasonToSkip(): string {
  if (process.platform === 'win32') return 'it requires symbolic links and a POSIX shell';
  if (npmMissing) return npmMissing;
  const folders = (process.env.PATH ?? '').split(':').filter((folder) => existsSync(folder));
  const has = (name: string) => folders.some((folder) => readdirSync(folder).includes(name));
  if (!has('cmake')) return 'CMake, which builds the binary, is not installed';
  if (!['c++', 'g++', 'clang++'].some(has))
    return 'a C++ compiler, which builds the binary, is not installed';
  return '';
}
