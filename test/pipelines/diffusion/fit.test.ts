import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { WeightPlan } from '../../../lib/binding/types.js';
import { LazyModel } from '../../../lib/families/shared/lazy-model.js';
import { availableMemory, weightBytes } from '../../../lib/modules/fit.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';

const machine = (bytes: number | undefined) =>
  vi.spyOn(LazyModel.prototype, 'available').mockReturnValue(bytes);
afterEach(() => vi.restoreAllMocks());

describe('a load that cannot fit', () => {
  it('is rejected before it starts, with the required and available memory and a remedy', async () => {
    machine(1_000_000);
    const phases: number[] = [];
    const load = Pipeline.load(undefined, { threads: 1, onProgress: ({ step }) => phases.push(step) });
    await expect(load).rejects.toMatchObject({
      code: 'DOES_NOT_FIT',
      message: expect.stringMatching(
        /needs \d+\.\d MB of memory \(.*U-Net \d+\.\d MB.*\), but only 1\.0 MB are available \(\d+ and 1000000 bytes\).*'lean'/,
      ),
    });
    expect(phases.every((step) => step === 0)).toBe(true);
  });

  it('is not rejected if weights stay in their files', async () => {
    machine(1_000_000);
    const lean = await Pipeline.load(undefined, { threads: 1, memory: 'lean' });
    const taken = Object.values(lean.memory()).reduce((sum, { weights }) => sum + weights, 0);
    expect(taken).toBeLessThan(1_000_000);
    await lean.dispose();
  });

  it('is estimated from the storage of the weights', async () => {
    for (const options of [{}, { storage: 'q8_0' }, { storage: 'f32' }, { memory: 'lean' }] as const) {
      vi.restoreAllMocks();
      const loaded = await Pipeline.load(undefined, { threads: 1, ...options });
      const taken = Object.values(loaded.memory()).reduce((sum, { weights }) => sum + weights, 0);
      await loaded.dispose();
      machine(taken * 0.95);
      await expect(Pipeline.load(undefined, { threads: 1, ...options })).rejects.toMatchObject({
        code: 'DOES_NOT_FIT',
      });
      machine(taken * 1.01);
      await (await Pipeline.load(undefined, { threads: 1, ...options })).dispose();
    }
  });

  it('is allowed if the available memory is unknown', async () => {
    machine(undefined);
    await (await Pipeline.load(undefined, { threads: 1 })).dispose();
  });
});

describe('an image that cannot fit', () => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    pipeline = await Pipeline.load(undefined, { threads: 1 });
  });
  afterAll(() => pipeline.dispose());
  const options = { prompt: 'a red apple', steps: 1, width: 64, height: 64, seed: 1 };

  it('is rejected before the first step', async () => {
    machine(1_000_000);
    const steps: unknown[] = [];
    const run = pipeline.generate({
      ...options,
      width: 2048,
      height: 2048,
      onProgress: (p) => steps.push(p.phase),
    });
    await expect(run).rejects.toMatchObject({
      code: 'DOES_NOT_FIT',
      message: expect.stringMatching(
        /^A picture of 2048 x 2048 needs .* \(U-Net .*, decoder .*, texts .*\), but only/,
      ),
    });
    expect(steps).not.toContain('denoise');
  });

  it('is rejected if only the second pass is too large', async () => {
    machine(200_000_000);
    const run = pipeline.generate({ ...options, hires: { width: 2048, height: 2048 } });
    await expect(run).rejects.toMatchObject({ code: 'DOES_NOT_FIT' });
  });

  it('is not rejected if its buffers are already allocated', async () => {
    await pipeline.generate(options);
    machine(1_000_000); // for the cross-attention keys and values of each call
    expect((await pipeline.generate(options)).images).toHaveLength(1);
  });
});

describe('the memory estimate', () => {
  it('is available on this machine', () => {
    expect(availableMemory({ backend: 'cpu' })).toBeGreaterThan(50e6);
  });

  it('counts weights that cannot be mapped', () => {
    const entry = (offset: number, more: object = {}): WeightPlan => ({
      files: ['/a'],
      entries: [
        {
          name: 'w',
          shape: [4, 8],
          source: { file: 0, offset, length: 64, type: 'F16', shape: [4, 8] },
          storage: 'f16',
          ...more,
        },
      ],
    });
    expect(weightBytes(entry(6), true)).toBe(0);
    expect(weightBytes(entry(6), false)).toBe(64);
    expect(weightBytes(entry(7), true)).toBe(64);
    expect(weightBytes(entry(6, { transform: { op: 'transpose' } }), true)).toBe(64);
    expect(weightBytes(entry(6, { storage: 'f32' }), true)).toBe(128);
    const rows = { shape: [2, 8], transform: { op: 'rows', start: 1, end: 3 } };
    expect(weightBytes(entry(6, rows), false)).toBe(32);
    expect(weightBytes(entry(6, rows), true)).toBe(0);
  });
});
