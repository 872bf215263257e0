/** Hires fix with an upscaler model. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPngText } from '../../../lib/image/png.js';
import { resample } from '../../../lib/image/resample.js';
import { restoreOptions } from '../../../lib/options/infotext/restore.js';
import { upscaleTo } from '../../../lib/pipelines/diffusion/hires-upscaler.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { Upscaler } from '../../../lib/pipelines/upscale/upscaler.js';
import { writeNetwork } from '../../support/upscale/networks.js';
import { scratch } from '../../support/vqgan/autoencoders.js';

const folder = scratch();
const file = writeNetwork(folder, 'compact');
const APPLE: GenerateOptions = { prompt: 'a red apple', seed: 5, steps: 4, width: 32, height: 32 };
/** A second pass of one step that adds little noise. */
const hires = { scale: 2, steps: 50, strength: 0.02, upscaler: file };

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 2 });
});
afterAll(() => pipeline.dispose());

const meanDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;

/** Returns the latent of the first image after enlarging it. */
async function enlarged(enlarge: (image: Parameters<typeof upscaleTo>[1]) => ReturnType<typeof upscaleTo>) {
  const { images } = await pipeline.generate(APPLE);
  const { data, width, height } = images[0]!;
  const large = await enlarge({ data, width, height, channels: 3 });
  return (await pipeline.encode({ ...large, channels: 3 })).data;
}

describe('the second pass', () => {
  it('begins with the image that the model enlarged, resized with Lanczos', async () => {
    const { images } = await pipeline.generate({ ...APPLE, hires });
    expect(images[0]).toMatchObject({ width: 64, height: 64 });
    await using upscaler = await Upscaler.load(file, { threads: 2 });
    const expected = await enlarged((image) => upscaleTo(upscaler, image, 64, 64, undefined));
    const other = await enlarged((image) => resample(image, 64, 64, 'lanczos'));
    const latent = images[0]!.latent.data;
    const difference = meanDifference(latent, expected);
    expect(meanDifference(latent, other)).toBeGreaterThan(5 * difference);
  });

  it('records the name of the model, which is listed as not restored', async () => {
    const { images } = await pipeline.generate({ ...APPLE, hires });
    const [image] = images;
    expect(image!.parameters).toContain('Hires upscaler: compact');
    expect(image!.parameters).not.toContain(folder);
    const png = readPngText(await image!.png());
    expect(png.safelight).not.toContain(folder);
    expect(restoreOptions(png).unrestored).toEqual([{ name: 'unwritten', value: '["hires.upscaler"]' }]);
    const fromText = restoreOptions(image!.parameters);
    expect(fromText.options.hires).toMatchObject({ scale: 2, strength: 0.02 });
    expect(fromText.options.hires).not.toHaveProperty('upscaler');
    expect(fromText.unrestored).toEqual([{ name: 'Hires upscaler', value: 'compact' }]);
  });

  it('is not accepted from a text, because files exist on one machine only', () => {
    const exact = { version: 1, options: { prompt: 'a', hires: { upscaler: file } } };
    const texts = {
      safelight: JSON.stringify(exact),
      parameters: 'b\nSteps: 3, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64',
    };
    expect(restoreOptions(texts).options).toMatchObject({ prompt: 'b' });
    const known = { ...exact, options: { prompt: 'a', hires: { upscaler: 'lanczos' } } };
    const restored = restoreOptions({ ...texts, safelight: JSON.stringify(known) });
    expect(restored.options).toMatchObject({ prompt: 'a', hires: { upscaler: 'lanczos' } });
  });

  it('rejects files that are no upscaler models, and unknown names, before the first pass', async () => {
    const rejected = (upscaler: string) =>
      pipeline.generate({ ...APPLE, hires: { upscaler }, onProgress: ({ phase }) => steps.push(phase) });
    const steps: string[] = [];
    await expect(rejected(join(folder, 'missing.pth'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(rejected('latnet')).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/upscaler model for hires\.upscaler/),
    });
    expect(steps).not.toContain('denoise');
  });
});

describe('the model', () => {
  /** Returns the sizes of the images that a model of a scale was run on. */
  const runs = async (scale: number, side: number): Promise<number[]> => {
    const sizes: number[] = [];
    const upscaler = {
      info: { scale },
      upscale: async ({ width, height }: { width: number; height: number }) => {
        sizes.push(width);
        const [w, h] = [width * scale, height * scale];
        return { data: new Uint8Array(w * h * 3), width: w, height: h, channels: 3 };
      },
    } as unknown as Upscaler;
    const image = { data: new Uint8Array(8 * 8 * 3), width: 8, height: 8, channels: 3 };
    expect(await upscaleTo(upscaler, image, side, side, undefined)).toMatchObject({
      width: side,
      height: side,
    });
    return sizes;
  };

  it('runs until the image covers the size, at most three times', async () => {
    expect(await runs(4, 16)).toEqual([8]);
    expect(await runs(2, 16)).toEqual([8]);
    expect(await runs(2, 24)).toEqual([8, 16]);
    expect(await runs(2, 200)).toEqual([8, 16, 32]);
    expect(await runs(1, 16)).toEqual([8]);
  });
});
