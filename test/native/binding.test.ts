import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { backends, chooseBackend, physicalCores } from '../../lib/binding/backends.js';
import { binaryCandidates, binaryPackage } from '../../lib/binding/binaries.js';
import { addon, load } from '../../lib/binding/binding.js';
import { buildNative } from '../../lib/binding/build.js';
import { missingInstructions } from '../../lib/binding/cpu.js';
import { platformName } from '../../lib/binding/platform.js';
import type { BackendInfo, BackendName } from '../../lib/binding/types.js';
import { removeFiles, writeFile } from './tiny.js';

afterAll(removeFiles);
afterEach(() => vi.unstubAllEnvs());

it('the binary reports its version and that of ggml', () => {
  expect(addon().version()).toEqual({
    safelight: expect.stringMatching(/^\d+\.\d+\.\d+/),
    ggml: expect.stringMatching(/^\d+\.\d+\.\d+/),
  });
});

it('reports the searched places and the commands to run if the binary is missing', () => {
  const empty = dirname(writeFile(new Uint8Array()));
  const name = binaryPackage('cpu');
  expect(() => load(empty)).toThrow(
    expect.objectContaining({
      name: 'SafelightError',
      code: 'BINARY_NOT_FOUND',
      message: `There is no native binary in build/Release or ${name}: run \`npm install ${name}\`, or \`npx safelight build\` to compile one`,
    }),
  );
});

describe('a project that has the package of its platform', () => {
  /** Returns the folder of a Safelight without addon, with `binary` in the package of this platform beside it. */
  function project(binary: 'valid' | 'invalid'): { folder: string; packaged: string } {
    const folder = dirname(writeFile(new Uint8Array()));
    const packaged = join(folder, 'node_modules', binaryPackage('cpu'));
    mkdirSync(packaged, { recursive: true });
    writeFileSync(join(packaged, 'package.json'), JSON.stringify({ name: binaryPackage('cpu') }));
    const file = join(packaged, 'safelight.node');
    if (binary === 'valid') copyFileSync(binaryCandidates()[0]!.file!, file);
    else writeFileSync(file, 'not a library');
    return { folder, packaged: file };
  }

  it('loads the addon of the package', () => {
    const { folder, packaged } = project('valid');
    expect(binaryCandidates('cpu', folder)).toEqual([
      { source: 'build/Release', problem: `${join(folder, 'build/Release')} contains no safelight.node` },
      { source: binaryPackage('cpu'), file: packaged },
    ]);
    expect(load(folder).version()).toEqual(addon().version());
  });

  it('loads the addon of the package if the one compiled on this machine does not load', () => {
    const { folder } = project('valid');
    mkdirSync(join(folder, 'build/Release'), { recursive: true });
    writeFileSync(join(folder, 'build/Release/safelight.node'), 'not a library');
    expect(load(folder).version()).toEqual(addon().version());
  });

  it('reports a package without its file, and one whose file does not load', () => {
    const { folder, packaged } = project('invalid');
    expect(() => load(folder)).toThrow(
      expect.objectContaining({
        code: 'BINARY_NOT_FOUND',
        message: expect.stringContaining(`cannot be loaded from ${packaged} (`),
      }),
    );
    rmSync(packaged);
    expect(binaryCandidates('cpu', folder)[1]).toEqual({
      source: binaryPackage('cpu'),
      problem: `${dirname(packaged)} contains no safelight.node`,
    });
  });
});

it('names the packages of this system', () => {
  expect(binaryPackage('cpu')).toBe(`@safelight/${platformName()}`);
  expect(binaryPackage('metal')).toBe(`@safelight/${platformName()}`);
  expect(binaryPackage('vulkan')).toBe(`@safelight/${platformName()}-vulkan`);
});

it('reports why a binary does not load', () => {
  const folder = dirname(writeFile(new Uint8Array()));
  mkdirSync(join(folder, 'build/Release'), { recursive: true });
  writeFileSync(join(folder, 'build/Release/safelight.node'), 'not a library');
  expect(() => load(folder)).toThrow(
    expect.objectContaining({
      code: 'BINARY_NOT_FOUND',
      message: expect.stringMatching(/cannot be loaded from .*safelight\.node \(.+\).*safelight build/),
    }),
  );
});

it('detects missing CPU instructions from /proc/cpuinfo before the binary would crash the process', () => {
  const flags = 'fpu vme sse sse2 sse4_2 avx avx2 fma f16c bmi1 bmi2';
  const cpuinfo = (text: string) => `processor : 0\nflags\t\t: ${text}\nbugs : none\n`;
  expect(missingInstructions('x64', cpuinfo(flags))).toEqual([]);
  expect(missingInstructions('x64', cpuinfo(flags.replace(' avx2', '').replace(' bmi2', '')))).toEqual([
    'avx2',
    'bmi2',
  ]);
  expect(missingInstructions('arm64', 'Features : fp asimd')).toEqual([]);
  expect(missingInstructions('x64', undefined)).toEqual(missingInstructions());
});

it('backends() always lists the CPU with its memory', () => {
  const cpu = backends().find(({ name }) => name === 'cpu');
  expect(cpu?.description).not.toBe('');
  expect(cpu?.memory.total).toBeGreaterThan(2 ** 28);
  expect(cpu?.memory.free).toBeGreaterThan(0);
  expect(cpu?.memory.free).toBeLessThanOrEqual(cpu!.memory.total);
  expect(physicalCores()).toBeGreaterThanOrEqual(1);
});

describe('chooseBackend', () => {
  const device = (name: BackendName, more: Partial<BackendInfo> = {}): BackendInfo => ({
    ...{ name, device: `${name}0`, description: `A ${name} device`, type: name === 'cpu' ? 'cpu' : 'gpu' },
    ...{ memory: { free: 1, total: 1 }, opens: true },
    ...more,
  });
  const cpu = device('cpu');

  it('selects the first GPU that opens for auto, otherwise the CPU', () => {
    expect(chooseBackend('auto', [cpu])).toEqual({ backend: 'cpu' });
    expect(chooseBackend('auto', [cpu, device('vulkan')])).toEqual({ backend: 'vulkan', device: 'vulkan0' });
    const refused = device('cuda', { opens: false, problem: 'out of order' });
    expect(chooseBackend('auto', [cpu, refused, device('vulkan')])).toMatchObject({ backend: 'vulkan' });
    expect(chooseBackend('cpu', [cpu, device('vulkan')])).toEqual({ backend: 'cpu' });
  });

  it('falls back to the CPU with a warning if a GPU does not open, and without one if ggml skips the GPU', () => {
    const refused = device('vulkan', { opens: false, problem: 'out of order' });
    expect(chooseBackend('auto', [cpu, refused])).toEqual({
      backend: 'cpu',
      warning: expect.stringContaining('A vulkan device: out of order'),
    });
    expect(chooseBackend('auto', [cpu, { ...refused, device: '' }])).toEqual({ backend: 'cpu' });
  });

  it('selects a device by its index, its name or a part of its description', () => {
    const devices = [
      device('vulkan', { device: 'Vulkan0', description: 'Radeon 780M' }),
      device('vulkan', { device: 'Vulkan1', description: 'GeForce RTX 4090' }),
    ];
    for (const which of ['1', 'Vulkan1', 'vulkan1', '4090', 'geforce'])
      expect(chooseBackend(`vulkan:${which}`, devices)).toEqual({ backend: 'vulkan', device: 'Vulkan1' });
    for (const which of ['2', 'intel'])
      expect(() => chooseBackend(`vulkan:${which}`, devices)).toThrow(
        expect.objectContaining({
          code: 'BACKEND_UNAVAILABLE',
          message: expect.stringContaining('1 Vulkan1 (GeForce RTX 4090)'),
        }),
      );
  });

  it('reports why a device does not open, and how to install a missing backend', () => {
    const refused = device('vulkan', { opens: false, problem: 'out of order' });
    expect(() => chooseBackend('vulkan', [refused])).toThrow(
      expect.objectContaining({
        code: 'BACKEND_UNAVAILABLE',
        message: expect.stringMatching(/vulkan0 \(A vulkan device\).*out of order/),
      }),
    );
    expect(() => chooseBackend('metal', [cpu])).toThrow(
      expect.objectContaining({
        code: 'BACKEND_UNAVAILABLE',
        message: expect.stringContaining('npx safelight build --metal'),
      }),
    );
  });

  it('rejects other names', () => {
    for (const wrong of ['gpu', 'cpu:1', 'vulkan:', '', 'CUDA'])
      expect(() => chooseBackend(wrong as BackendName)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      );
  });
});

it('reports what to install if a build finds no CMake or compiler', async () => {
  const tools = dirname(writeFile(new Uint8Array()));
  vi.stubEnv('PATH', tools);
  await expect(buildNative()).rejects.toMatchObject({
    code: 'BINARY_NOT_FOUND',
    message: expect.stringContaining('CMake'),
  });
  writeFileSync(join(tools, 'cmake'), '#!/bin/sh\n', { mode: 0o755 });
  await expect(buildNative()).rejects.toMatchObject({
    code: 'BINARY_NOT_FOUND',
    message: expect.stringContaining('compiler'),
  });
});
