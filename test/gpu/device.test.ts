/**
 * GPU backends without a GPU: the test device, whose memory the host may not touch, against the CPU's stock
 * operations.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { addonOf } from '../../lib/binding/backends.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { Warning } from '../../lib/warnings.js';
import { type GpuCase, gpuCases } from './cases.js';

const BINARIES = fileURLToPath(new URL('../../build/test-device', import.meta.url));
process.env.SAFELIGHT_GPU_BINARIES = BINARIES;

const without = existsSync(`${BINARIES}/safelight-vulkan.node`)
  ? undefined
  : 'the test device is built on Linux only';
const prompt = { prompt: 'a red apple', seed: 1, steps: 1, width: 64, height: 64 };
const GIB = 2 ** 30;

afterEach(() => vi.unstubAllEnvs());

async function expectEqual({ run }: GpuCase): Promise<void> {
  const [there, here] = [await run({ backend: 'vulkan' }), await run({ backend: 'cpu', stockOps: true })];
  expect(Object.keys(there)).toEqual(Object.keys(here));
  for (const [name, { buffer }] of Object.entries(here))
    expect(Buffer.from(there[name]!.buffer).equals(Buffer.from(buffer)), name).toBe(true);
}

function caseNamed(name: string): GpuCase {
  const found = gpuCases.find((one) => one.name === name);
  if (!found) throw new Error(`there is no case ${name}`);
  return found;
}

/** Returns the free memory of the device in bytes. */
const free = (): number =>
  addonOf('vulkan')
    .backends()
    .find(({ name }) => name === 'vulkan')!.memory.free;

/** A module's thread frees its memory once it has stopped. */
const allFree = () => vi.waitFor(() => expect(free()).toBe(16 * GIB), 5000);

describe.skipIf(without)(`the test device${without ? `: ${without}` : ''}`, () => {
  it.each(gpuCases.map((one) => [one.name, one] as const))('computes %s as the CPU does', (_, one) =>
    expectEqual(one),
  );

  it.each(['clip', 'unet-sd1', 'kl', 'latent-transformer', 'autoencoder vqgan'])(
    'leaves unsupported operations of %s to the CPU',
    async (name) => {
      vi.stubEnv('SAFELIGHT_TEST_DEVICE_LACKS', 'GROUP_NORM,SOFT_MAX,GET_ROWS,ARGMAX,SGN');
      await expectEqual(caseNamed(name));
    },
  );

  it('frees all memory once modules are disposed', async () => {
    for (let round = 0; round < 2; round++) {
      const pipeline = await Pipeline.load(undefined, { backend: 'vulkan', threads: 1 });
      await pipeline.generate(prompt);
      const { unet } = pipeline.memory();
      expect(unet).toMatchObject({ backend: 'vulkan', device: 'Test0' });
      expect(16 * GIB - free()).toBeGreaterThan(unet!.weights);
      await pipeline.dispose();
      await allFree();
    }
  });

  it('stops when it is cancelled, and computes the same afterwards', async () => {
    await using pipeline = await Pipeline.load(undefined, { backend: 'vulkan', threads: 1 });
    const { images: whole } = await pipeline.generate(prompt);
    const controller = new AbortController();
    const stopped = pipeline.generate({
      ...prompt,
      ...{ width: 128, height: 128, steps: 50, signal: controller.signal },
      onProgress: ({ phase, step }) => phase === 'denoise' && step > 0 && controller.abort(),
    });
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
    const { images: again } = await pipeline.generate(prompt);
    expect(Buffer.from(again[0]!.data).equals(Buffer.from(whole[0]!.data))).toBe(true);
  });

  it('rejects within 200 ms when it is cancelled while the driver cannot be stopped', {
    retry: 3,
  }, async () => {
    await using pipeline = await Pipeline.load(undefined, { backend: 'vulkan', threads: 1 });
    vi.stubEnv('SAFELIGHT_TEST_DEVICE_WAITS', '500');
    const controller = new AbortController();
    const running = pipeline.generate({ ...prompt, signal: controller.signal });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const start = performance.now();
    controller.abort();
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
    expect(performance.now() - start).toBeLessThan(200);
    vi.unstubAllEnvs();
    expect((await pipeline.generate(prompt)).images).toHaveLength(1);
  });

  it('rejects a run with DISPOSED when its pipeline is disposed', async () => {
    const pipeline = await Pipeline.load(undefined, { backend: 'vulkan', threads: 1 });
    const running = pipeline.generate({
      ...{ ...prompt, width: 128, height: 128, steps: 50 },
      onProgress: ({ phase, step }) => {
        if (phase === 'denoise' && step > 0) void pipeline.dispose();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'DISPOSED' });
    await allFree();
  });

  it('keeps weights in the host’s memory with lean, for the same image', async () => {
    await allFree();
    await using lean = await Pipeline.load(undefined, { backend: 'vulkan', memory: 'lean', threads: 1 });
    const { images } = await lean.generate(prompt);
    expect(16 * GIB - free()).toBeLessThan(2 ** 20);
    await using cpu = await Pipeline.load(undefined, { backend: 'cpu', stockOps: true, threads: 1 });
    const { images: expected } = await cpu.generate(prompt);
    const off = images[0]!.data.map((value, i) => Math.abs(value - expected[0]!.data[i]!));
    expect(Math.max(...off)).toBeLessThanOrEqual(1); // one prompt at a time: matrix products of other shapes
  });

  describe('with too little memory', () => {
    it('for the model, rejects before anything is loaded', async () => {
      vi.stubEnv('SAFELIGHT_TEST_DEVICE_BYTES', '10000000');
      await expect(Pipeline.load(undefined, { backend: 'vulkan' })).rejects.toMatchObject({
        code: 'DOES_NOT_FIT',
        message: expect.stringMatching(/memory 'lean' needs .* of host memory/),
      });
    });

    it('for a run, rejects before it starts, and other runs still work', async () => {
      await using pipeline = await Pipeline.load(undefined, { backend: 'vulkan', threads: 1 });
      const used = 16 * GIB - free();
      vi.stubEnv('SAFELIGHT_TEST_DEVICE_BYTES', `${used + 30e6}`);
      await expect(pipeline.generate({ ...prompt, width: 512, height: 512 })).rejects.toMatchObject({
        code: 'DOES_NOT_FIT',
      });
      expect((await pipeline.generate(prompt)).images).toHaveLength(1);
    });

    it('loads on the CPU for auto, with a warning', async () => {
      vi.stubEnv('SAFELIGHT_TEST_DEVICE_BYTES', '10000000');
      const warnings: Warning[] = [];
      await using pipeline = await Pipeline.load(undefined, {
        threads: 1,
        onWarning: (warning) => warnings.push(warning),
      });
      expect(pipeline.memory().unet).toMatchObject({ backend: 'cpu' });
      expect(warnings).toEqual([
        { code: 'BACKEND_FALLBACK', message: expect.stringContaining('too little memory') },
      ]);
      expect(pipeline.warnings).toEqual(warnings);
    });

    it('restarts a generation on the CPU for auto, with a warning in its result', async () => {
      await using pipeline = await Pipeline.load(undefined, { threads: 1 });
      expect(pipeline.memory().unet).toMatchObject({ backend: 'vulkan' });
      const used = 16 * GIB - free();
      vi.stubEnv('SAFELIGHT_TEST_DEVICE_BYTES', `${used + 3e6}`);
      const { images, warnings } = await pipeline.generate(prompt);
      expect(warnings).toEqual([
        { code: 'BACKEND_FALLBACK', message: expect.stringContaining('Computing on the CPU') },
      ]);
      expect(pipeline.memory().unet).toMatchObject({ backend: 'cpu' });
      vi.unstubAllEnvs();
      await allFree();
      await using cpu = await Pipeline.load(undefined, { backend: 'cpu', threads: 1 });
      const { images: expected } = await cpu.generate(prompt);
      expect(Buffer.from(images[0]!.data).equals(Buffer.from(expected[0]!.data))).toBe(true);
    });
  });
});
