import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { backends, chooseBackend, physicalCores } from '../../lib/native/backends.js';
import { addon, load } from '../../lib/native/binding.js';
import { buildNative } from '../../lib/native/build.js';
import { missingInstructions } from '../../lib/native/cpu.js';
import { removeFiles, writeFile } from './tiny.js';

afterAll(removeFiles);
afterEach(() => vi.unstubAllEnvs());

it('the binary tells its version and that of ggml', () => {
  expect(addon().version()).toEqual({
    safelight: expect.stringMatching(/^\d+\.\d+\.\d+/),
    ggml: expect.stringMatching(/^\d+\.\d+\.\d+/),
  });
});

it('a missing binary says where it was looked for and what to run', () => {
  const empty = dirname(writeFile(new Uint8Array()));
  expect(() => load(empty)).toThrow(
    expect.objectContaining({
      name: 'SafelightError',
      code: 'BINARY_NOT_FOUND',
      message: expect.stringMatching(/prebuilds\/.*safelight build/),
    }),
  );
});

it('a binary that does not load says so', () => {
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

it('an older processor is told from /proc/cpuinfo, before the binary ends the process', () => {
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

it('backends() always has the CPU, with its memory', () => {
  const cpu = backends().find(({ name }) => name === 'cpu');
  expect(cpu?.description).not.toBe('');
  expect(cpu?.memory.total).toBeGreaterThan(2 ** 28);
  expect(cpu?.memory.free).toBeGreaterThan(0);
  expect(cpu?.memory.free).toBeLessThanOrEqual(cpu!.memory.total);
  expect(physicalCores()).toBeGreaterThanOrEqual(1);
});

it('auto takes a GPU if there is one, and a backend that is missing is a typed error', () => {
  const device = (name: 'cpu' | 'cuda') => ({
    name,
    device: name,
    description: name,
    memory: { free: 1, total: 1 },
  });
  expect(chooseBackend('auto', [device('cpu')])).toBe('cpu');
  expect(chooseBackend('auto', [device('cpu'), device('cuda')])).toBe('cuda');
  expect(chooseBackend('cpu', [device('cpu'), device('cuda')])).toBe('cpu');
  expect(() => chooseBackend('vulkan', [device('cpu')])).toThrow(
    expect.objectContaining({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringContaining('npx safelight build --vulkan'),
    }),
  );
});

it('a build without CMake or a compiler says what to install', async () => {
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
