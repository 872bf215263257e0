/** The image of a seed does not depend on the other images of its batch. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GeneratedImage } from '../../../lib/pipelines/image-result.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { samplerNames } from '../../../lib/sampling/samplers/index.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());

const base: GenerateOptions = { prompt: 'a red apple', seed: 5, steps: 4, width: 32, height: 32, count: 3 };
const pixels = {
  data: Uint8Array.from({ length: 40 * 40 * 3 }, (_, i) => (i * 37) % 251),
  width: 40,
  height: 40,
};
const mask = {
  data: Uint8Array.from({ length: 40 * 40 }, (_, i) => (i % 40 < 20 ? 255 : 0)),
  width: 40,
  height: 40,
  channels: 1,
} as const;

/** Returns the largest difference of two latents, relative to the largest value of the second. */
function difference({ latent: a }: GeneratedImage, { latent: b }: GeneratedImage): number {
  const largest = Math.max(...b.data.map(Math.abs));
  return Math.max(...a.data.map((value, i) => Math.abs(value - b.data[i]!))) / largest;
}

/** Returns the images of one call in one batch, and of one call per image. */
async function bothWays(options: Partial<GenerateOptions>): Promise<[GeneratedImage[], GeneratedImage[]]> {
  const request = { ...base, ...options };
  const { images } = await pipeline.generate({ ...request, batch: 3 });
  const alone: GeneratedImage[] = [];
  for (let i = 0; i < 3; i++) {
    const varies = request.subseedStrength !== undefined;
    const seeds = varies ? { subseed: request.subseed! + i } : { seed: request.seed! + i };
    alone.push(...(await pipeline.generate({ ...request, ...seeds, count: 1 })).images);
  }
  return [[...images], alone];
}

/**
 * Rounding of larger batches, which samplers amplify: up to 1.35e-4 with the AVX2 kernels, less than 1e-4
 * with AVX-512.
 */
const ROUNDING = 2e-4;

async function expectSame(options: Partial<GenerateOptions>, tolerance = ROUNDING): Promise<void> {
  const [together, alone] = await bothWays(options);
  expect(together).toHaveLength(3);
  for (const [i, image] of together.entries()) {
    expect(image.seed).toBe(alone[i]!.seed);
    expect(difference(image, alone[i]!)).toBeLessThan(tolerance);
  }
  expect(difference(together[0]!, together[1]!)).toBeGreaterThan(1e-2);
}

it.each(samplerNames)(
  '%s returns the same images for three seeds in one batch as for each seed alone',
  async (sampler) => {
    await expectSame({ sampler });
    await expectSame({ sampler, init: pixels, strength: 0.6, eta: 0.7, sNoise: 1.1 });
  },
);

describe('images of a batch', () => {
  it.each<[string, Partial<GenerateOptions>]>([
    ['with rescaled guidance', { guidanceRescale: 0.7, cfg: 9 }],
    ['with adaptive projected guidance', { apg: { threshold: 2 }, cfg: 9 }],
    ['with guidance in an interval', { guidanceInterval: [0.5, 6] }],
    ['with step caching', { deepCache: { interval: 2 }, steps: 8 }],
    ['with churn', { sampler: 'euler', sChurn: 20 }],
    ['as variations', { subseed: 40, subseedStrength: 0.3 }],
    ['with a seed delta', { sampler: 'euler_a', etaNoiseSeedDelta: 31337 }],
    ['of another size', { seedResizeFrom: { width: 64, height: 48 } }],
    ['with CUDA random numbers', { rng: 'cuda', sampler: 'dpmpp_sde' }],
    ["from samples of the encoder's posterior", { init: pixels, posterior: 'sample' }],
    ['with a resized latent', { init: pixels, posterior: 'sample', resizeMode: 'latent' }],
    ['with a mask filled with noise', { init: pixels, mask, fill: 'noise', sampler: 'euler_a' }],
    ['with a second pass', { hires: { scale: 1.5, steps: 3, strength: 0.6 } }],
    ['with an adaptive second pass', { hires: { scale: 1.5, sampler: 'dpm_adaptive', strength: 0.5 } }],
  ])('equal those of single calls %s', async (_name, options) => {
    await expectSame(options);
  });

  it('equal those of single calls after a second pass in pixel space, except for bytes that round differently', async () => {
    await expectSame({ hires: { scale: 1.5, steps: 3, strength: 0.6, upscaler: 'lanczos' } }, 1e-3);
  });

  it('equal those of single calls in the denoise stage, where an adaptive sampler processes one image at a time', async () => {
    const positive = await pipeline.encodeText('a red apple');
    for (const sampler of ['dpm_adaptive', 'euler_a'] as const) {
      const request = { positive, sampler, steps: 5, width: 32, height: 32 };
      const shares: number[] = [];
      const steps: number[] = [];
      const all = await pipeline.denoise({
        ...request,
        ...{ seed: 5, count: 3 },
        onStep: ({ latent }) => void steps.push(latent.shape[0]!),
        onProgress: ({ step, steps }) => void shares.push(step / steps),
      });
      expect(all.shape).toEqual([3, 4, 4, 4]);
      for (let i = 0; i < 3; i++) {
        const one = await pipeline.denoise({ ...request, seed: 5 + i });
        const apart = Math.max(...one.data.map((value, k) => Math.abs(value - all.at(i).data[k]!)));
        expect(apart).toBeLessThan(ROUNDING);
      }
      expect(new Set(steps)).toEqual(new Set([sampler === 'dpm_adaptive' ? 1 : 3]));
      expect(shares.every((share) => share > 0 && share <= 1)).toBe(true);
      expect(shares.at(-1)).toBe(1);
    }
  });

  it('have the attention maps of single calls, including variations', async () => {
    const request = {
      prompt: 'a red apple',
      word: 'apple',
      steps: 2,
      width: 32,
      height: 32,
      subseedStrength: 0.3,
    };
    const maps = await pipeline.attentionMap({ ...request, ...{ seed: 1, subseed: 7, count: 3, batch: 1 } });
    for (const [i, { map }] of maps.entries()) {
      const [alone] = await pipeline.attentionMap({ ...request, seed: 1, subseed: 7 + i });
      const apart = Math.max(...map.data.map((value, k) => Math.abs(value - alone!.map.data[k]!)));
      expect(apart).toBeLessThan(1e-3);
    }
  });
});
