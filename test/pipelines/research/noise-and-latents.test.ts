/** Tensors in place of the noise of a seed or the latent of an image. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { createNoise } from '../../../lib/sampling/noise.js';
import { Tensor } from '../../../lib/tensor/tensor.js';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(() => pipeline.dispose());

const APPLE = { prompt: 'a red apple', seed: 7, steps: 2, sampler: 'euler' } as const;
const images = async (options: GenerateOptions) => (await pipeline.generate(options)).images;
const noiseOf = (...seeds: number[]): Tensor =>
  Tensor.from(createNoise({ seeds, size: 4 * 64 }).next(), [seeds.length, 4, 8, 8]);

describe('noise', () => {
  it.each(['euler', 'euler_a'])(
    "equal to that of the seeds gives the seeds' images with %s",
    async (sampler) => {
      const options = { ...APPLE, sampler, width: 64, height: 64, count: 3, batch: 2 };
      const own = await images(options);
      const given = await images({ ...options, noise: noiseOf(7, 8, 9) });
      expect(given.map(({ data }) => data)).toEqual(own.map(({ data }) => data));
    },
  );

  it("sets the size, is shared by all images if it has a batch of one, and differs from the seed's noise", async () => {
    const noise = noiseOf(31);
    const made = await images({ ...APPLE, noise, count: 2 });
    const [own] = await images({ ...APPLE, width: 64, height: 64, seed: 31 });
    const [other] = await images({ ...APPLE, width: 64, height: 64 });
    expect(made.map(({ width, height }) => [width, height])).toEqual([
      [64, 64],
      [64, 64],
    ]);
    expect(made[0]!.data).toEqual(own!.data);
    // The only noise of the call: euler consumes no more of the seeds' noise.
    expect(made[1]!.data).toEqual(own!.data);
    expect(made[0]!.data).not.toEqual(other!.data);
    expect(noise.data).toEqual(noiseOf(31).data);
  });

  it('is added to the latent in image-to-image, and in the first pass of hires', async () => {
    const init = { data: new Uint8Array(64 * 64 * 3).fill(90), width: 64, height: 64 };
    for (const options of [{ init }, { hires: { scale: 1.5, steps: 1 }, width: 64, height: 64 }]) {
      const [own] = await images({ ...APPLE, ...options });
      const [given] = await images({ ...APPLE, ...options, noise: noiseOf(7) });
      const [other] = await images({ ...APPLE, ...options, noise: noiseOf(8) });
      expect(given!.data).toEqual(own!.data);
      expect(other!.data).not.toEqual(own!.data);
    }
  });

  it('is accepted by the denoise stage', async () => {
    const positive = await pipeline.encodeText('a red apple');
    const options = { positive, steps: 2, sampler: 'euler' } as const;
    const own = await pipeline.denoise({ ...options, seed: 7, width: 64, height: 64, count: 2 });
    const given = await pipeline.denoise({ ...options, noise: noiseOf(7, 8), count: 2 });
    expect(given).toEqual(own);
  });

  it.each<[string, object, string, RegExp]>([
    ['a value that is not a tensor', { noise: [1] }, 'INVALID_OPTION', /noise/],
    ['other channels', { noise: Tensor.zeros([1, 3, 8, 8]) }, 'SHAPE_MISMATCH', /\[1, 4, 8, 8\] for noise/],
    ['another number of rows', { noise: Tensor.zeros([2, 4, 8, 8]), count: 3 }, 'SHAPE_MISMATCH', /1 or 3/],
    ['another size', { noise: noiseOf(1), width: 128 }, 'INVALID_OPTION', /64 \(the noise's\)/],
    [
      'infinite numbers',
      { noise: Tensor.from(new Float32Array(256).fill(Infinity), [1, 4, 8, 8]) },
      'NOT_FINITE',
      /noise/,
    ],
    ['a variation', { noise: noiseOf(1), subseedStrength: 0.5 }, 'INVALID_OPTION', /subseedStrength/],
    [
      'a seed resize',
      { noise: noiseOf(1), seedResizeFrom: { width: 64, height: 64 } },
      'INVALID_OPTION',
      /seedResizeFrom/,
    ],
  ])('rejects %s', async (_, options, code, message) => {
    const error = await images({ ...APPLE, ...options }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

describe('initial latent', () => {
  it('of an encoded image gives the same image as the initial image', async () => {
    const [apple] = await images({ ...APPLE, width: 64, height: 64, steps: 4 });
    const options = {
      ...APPLE,
      prompt: 'a blue car',
      steps: 5,
      strength: 0.6,
      count: 2,
      initialNoiseMultiplier: 0.9,
    };
    const own = await images({ ...options, init: { data: apple!.data, width: 64, height: 64 } });
    const latent = await pipeline.encode(apple!);
    const given = await images({ ...options, latent });
    expect(given.map(({ data }) => data)).toEqual(own.map(({ data }) => data));
    const [nearer] = await images({ ...options, strength: 0.2, latent });
    expect(nearer!.data).not.toEqual(given[0]!.data);
    const both = Tensor.cat([latent, Tensor.zeros([1, 4, 8, 8])]);
    const [first, second] = await images({ ...options, latent: both });
    expect(first!.data).toEqual(own[0]!.data);
    expect(second!.data).not.toEqual(own[1]!.data);
  });

  it('may be combined with a noise tensor of its size', async () => {
    const latent = Tensor.zeros([1, 4, 8, 8]);
    const [own] = await images({ ...APPLE, latent });
    const [given] = await images({ ...APPLE, latent, noise: noiseOf(7) });
    expect(given!.data).toEqual(own!.data);
    const call = images({ ...APPLE, latent, noise: Tensor.zeros([1, 4, 8, 16]) });
    await expect(call).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
  });

  it.each<[string, object]>([
    ['init', { init: { data: new Uint8Array(3), width: 1, height: 1 } }],
    ['hires', { hires: {} }],
  ])('is rejected together with %s', async (_, options) => {
    const call = images({ ...APPLE, latent: Tensor.zeros([1, 4, 8, 8]), ...options });
    await expect(call).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
