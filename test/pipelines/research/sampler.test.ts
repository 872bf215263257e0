/** Custom samplers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SafelightError } from '../../../lib/errors.js';
import { restoreOptions } from '../../../lib/options/infotext/restore.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { SamplerFunction } from '../../../lib/sampling/samplers/index.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());

const APPLE = { prompt: 'a red apple', seed: 7, steps: 3, width: 64, height: 64 } as const;
const one = async (options: object) => (await pipeline.generate({ ...APPLE, ...options })).images[0]!;
const failure = (sampler: unknown): Promise<SafelightError> =>
  one({ sampler }).then(
    () => Promise.reject(new Error('Nothing was thrown')),
    (error: SafelightError) => error,
  );

/** Euler's method with a test's modification. */
function euler(change: { step?: object; result?: unknown; before?: () => void } = {}): SamplerFunction {
  return async function* (denoise, latent, sigmas) {
    let x = latent;
    for (let i = 0; i + 1 < sigmas.length; i++) {
      change.before?.();
      const [sigma, sigmaNext] = [sigmas[i]!, sigmas[i + 1]!];
      const denoised = await denoise(x, sigma);
      x = x.map((value, k) => value + ((value - denoised[k]!) / sigma) * (sigmaNext - sigma));
      yield { step: i, steps: sigmas.length - 1, sigma, sigmaNext, latent: x, denoised, ...change.step };
    }
    return (change.result ?? x) as Float32Array;
  };
}

describe('a sampler function', () => {
  it('returns the image of the sampler that it implements, on any schedule', async () => {
    for (const options of [{}, { schedule: 'simple', cfg: 1 }, { sigmas: [10, 2, 0.4] }]) {
      const { steps: _, ...rest } = APPLE;
      const base = { ...('sigmas' in options ? rest : APPLE), ...options };
      const [own, given] = await Promise.all(
        (['euler', euler()] as const).map(
          async (sampler) => (await pipeline.generate({ ...base, sampler })).images[0]!,
        ),
      );
      const distance = Math.max(
        ...own!.latent.data.map((value, i) => Math.abs(value - given!.latent.data[i]!)),
      );
      expect(distance).toBeLessThan(1e-3);
    }
  });

  it('runs in batches, in the denoise stage and before a second pass', async () => {
    const { images } = await pipeline.generate({ ...APPLE, sampler: euler(), count: 2 });
    expect(images[0]!.data).not.toEqual(images[1]!.data);
    const positive = await pipeline.encodeText('a red apple');
    const latent = await pipeline.denoise({
      positive,
      seed: 7,
      steps: 3,
      width: 64,
      height: 64,
      sampler: euler(),
    });
    expect(latent.data).toEqual((await one({ sampler: euler() })).latent.data);
    expect((await one({ sampler: euler(), hires: { scale: 1.5, steps: 1 } })).width).toBe(96);
  });

  it('is marked in the image as missing from its texts', async () => {
    const image = await one({ sampler: euler() });
    for (const texts of [{ parameters: image.parameters }, { safelight: image.exactOptions }]) {
      const { options, unrestored } = restoreOptions(texts);
      expect(options.sampler).toBeUndefined();
      expect(unrestored.map(({ value }) => value)).toEqual([expect.stringContaining('sampler')]);
    }
  });

  it('rejects the call with the exception that it throws', async () => {
    const mine = new RangeError('mine');
    const throws = (): never => {
      throw mine;
    };
    expect(await failure(euler({ before: throws }))).toBe(mine);
    expect(await failure(throws)).toBe(mine);
    expect(await failure(async () => throws())).toBe(mine);
  });

  it('ends when the loop over its steps is left', async () => {
    let freed = 0;
    const sampler: SamplerFunction = async function* (...given) {
      try {
        return yield* euler()(...given);
      } finally {
        freed++;
      }
    };
    for await (const _ of pipeline.stream({ ...APPLE, sampler })) break;
    expect(freed).toBe(1);
  });

  it.each<[string, unknown, string]>([
    ['a function that is not a generator', () => 1, 'INVALID_OPTION'],
    ['a promise of undefined', async () => undefined, 'INVALID_OPTION'],
    ['an iterator of undefined', () => ({ next: () => 7 }), 'INVALID_OPTION'],
    ['an invalid step', euler({ step: { sigma: 'high' } }), 'INVALID_OPTION'],
    ['a latent of another type', euler({ step: { latent: [1, 2] } }), 'INVALID_OPTION'],
    ['a latent of another size', euler({ step: { latent: new Float32Array(3) } }), 'SHAPE_MISMATCH'],
    ['a latent with NaN', euler({ step: { latent: new Float32Array(256).fill(Number.NaN) } }), 'NOT_FINITE'],
    ['x0 with infinities', euler({ step: { denoised: new Float32Array(256).fill(Infinity) } }), 'NOT_FINITE'],
    ['a last latent of another size', euler({ result: new Float32Array(3) }), 'SHAPE_MISMATCH'],
    ['a missing last latent', euler({ result: 7 }), 'INVALID_OPTION'],
    [
      'a denoise call with another size',
      (denoise: (...args: unknown[]) => unknown) => denoise(new Float32Array(1), 1),
      'SHAPE_MISMATCH',
    ],
    [
      'a denoise call at sigma 0',
      (denoise: (...args: unknown[]) => unknown, x: Float32Array) => denoise(x, 0),
      'INVALID_OPTION',
    ],
  ])('is rejected for %s', async (_, sampler, code) => {
    expect(await failure(sampler)).toMatchObject({ code });
  });
});
