/** Tensors in the place of what a seed or an image gives. */
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

describe('the first noise as a tensor', () => {
  it.each(['euler', 'euler_a'])("that is the seeds' own gives the seeds' images with %s", async (sampler) => {
    const options = { ...APPLE, sampler, width: 64, height: 64, count: 3, batch: 2 };
    const own = await images(options);
    const given = await images({ ...options, noise: noiseOf(7, 8, 9) });
    expect(given.map(({ data }) => data)).toEqual(own.map(({ data }) => data));
  });

  it('sets the size, is shared by all images where it is one, and gives others than the seed', async () => {
    const noise = noiseOf(31);
    const made = await images({ ...APPLE, noise, count: 2 });
    const [own] = await images({ ...APPLE, width: 64, height: 64, seed: 31 });
    const [other] = await images({ ...APPLE, width: 64, height: 64 });
    expect(made.map(({ width, height }) => [width, height])).toEqual([
      [64, 64],
      [64, 64],
    ]);
    expect(made[0]!.data).toEqual(own!.data);
    // The only noise of the call: euler draws no more of the seeds'.
    expect(made[1]!.data).toEqual(own!.data);
    expect(made[0]!.data).not.toEqual(other!.data);
    expect(noise.data).toEqual(noiseOf(31).data);
  });

  it('is laid on the image of image to image, and on the first pass of hires fix', async () => {
    const init = { data: new Uint8Array(64 * 64 * 3).fill(90), width: 64, height: 64 };
    for (const options of [{ init }, { hires: { scale: 1.5, steps: 1 }, width: 64, height: 64 }]) {
      const [own] = await images({ ...APPLE, ...options });
      const [given] = await images({ ...APPLE, ...options, noise: noiseOf(7) });
      const [other] = await images({ ...APPLE, ...options, noise: noiseOf(8) });
      expect(given!.data).toEqual(own!.data);
      expect(other!.data).not.toEqual(own!.data);
    }
  });

  it('begins the stage of denoising too', async () => {
    const positive = await pipeline.encodeText('a red apple');
    const options = { positive, steps: 2, sampler: 'euler' } as const;
    const own = await pipeline.denoise({ ...options, seed: 7, width: 64, height: 64, count: 2 });
    const given = await pipeline.denoise({ ...options, noise: noiseOf(7, 8), count: 2 });
    expect(given).toEqual(own);
  });

  it.each<[string, object, string, RegExp]>([
    ['no tensor', { noise: [1] }, 'INVALID_OPTION', /noise/],
    ['other channels', { noise: Tensor.zeros([1, 3, 8, 8]) }, 'SHAPE_MISMATCH', /\[1, 4, 8, 8\] for noise/],
    ['other rows', { noise: Tensor.zeros([2, 4, 8, 8]), count: 3 }, 'SHAPE_MISMATCH', /1 or 3/],
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
  ])('refuses %s', async (_, options, code, message) => {
    const error = await images({ ...APPLE, ...options }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

describe('a latent to begin from', () => {
  it('that is an encoded image gives what the image gives', async () => {
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

  it('takes noise as a tensor beside it, of its size', async () => {
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
  ])('is refused beside %s', async (_, options) => {
    const call = images({ ...APPLE, latent: Tensor.zeros([1, 4, 8, 8]), ...options });
    await expect(call).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
