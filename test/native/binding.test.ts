import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { backends, chooseBackend, physicalCores } from '../../lib/binding/backends.js';
import { addon, load } from '../../lib/binding/binding.js';
import { buildNative } from '../../lib/binding/build.js';
import { missingInstructions } from '../../lib/binding/cpu.js';
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

it('reports the searched paths and the command to run if the binary is missing', () => {
  const empty = dirname(writeFile(new Uint8Array()));
  expect(() => load(empty)).toThrow(
    expect.objectContaining({
      name: 'SafelightError',
      code: 'BINARY_NOT_FOUND',
      message: expect.stringMatching(/prebuilds\/.*safelight build/),
    }),
  );
});

it('reports why a binary does not load', () => {
  const folder = dirname(writeFile(new Uint8Array()));
  mkdirSync(join(folder, 'build/Release'), { recursive: true });
  writeFileSync(join(folder, 'build/Release/safelight.node'), 'not a library');
  expect(() => load(folder)).toThrow(
    expect.objectContaining({
      code: 'BINARY_NOT_FOUND',
      message: expect.stringMatching(/safelight\.node does not load here \(.+\).*safelight build/),
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
