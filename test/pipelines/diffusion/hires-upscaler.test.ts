/** Hires fix with an upscaler model. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPngText } from '../../../lib/image/png.js';
import { resample } from '../../../lib/image/resample.js';
import { restoreOptions } from '../../../lib/options/infotext/restore.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { upscaleTo } from '../../../lib/pipelines/upscale/upscale-to.js';
import { Upscaler } from '../../../lib/pipelines/upscale/upscaler.js';
import { writeNetwork } from '../../support/upscale/networks.js';
import { scratch } from '../../support/vqgan/autoencoders.js';

const folder = scratch();
const file = writeNetwork(folder, 'compact');
const APPLE: GenerateOptions = { prompt: 'a red apple', seed: 5, steps: 4, width: 32, height: 32 };
/** A second pass of one step that adds little noise. */
const hires = { scale: 2, steps: 50, strength: 0.02, upscaler: file };

let pipeline: Pipeline;
/** A pipeline with a folder of upscalers. */
let named: Pipeline;
beforeAll(async () => {
  mkdirSync(join(folder, 'sub'));
  writeNetwork(join(folder, 'sub'), 'esrgan');
  copyFileSync(file, join(folder, 'sub/RealESRGAN_x4plus.safetensors'));
  pipeline = await Pipeline.load(undefined, { threads: 2 });
  named = await Pipeline.load(undefined, { threads: 2, upscalerFolder: folder });
});
afterAll(() => Promise.all([pipeline.dispose(), named.dispose()]));

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
    const expected = await enlarged((image) => upscaleTo(upscaler, image, { width: 64, height: 64 }));
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
    for (const texts of [png, image!.parameters]) {
      const { options, unrestored } = restoreOptions(texts);
      expect(options.hires).toMatchObject({ steps: 50, strength: 0.02 });
      expect(options.hires).not.toHaveProperty('upscaler');
      expect(unrestored).toEqual([{ name: 'Hires upscaler', value: 'compact' }]);
    }
  });

  it('restores the name where the folder has the model', async () => {
    const { images } = await named.generate({ ...APPLE, hires: { ...hires, upscaler: 'COMPACT' } });
    const upscalers = [{ name: 'compact' }];
    for (const texts of [readPngText(await images[0]!.png()), images[0]!.parameters]) {
      const { options, unrestored } = restoreOptions(texts, { upscalers });
      expect(options.hires).toMatchObject({ steps: 50, upscaler: 'compact' });
      expect(unrestored).toEqual([]);
      const elsewhere = restoreOptions(texts, { upscalers: [{ name: 'other' }] });
      expect(elsewhere.options.hires).not.toHaveProperty('upscaler');
      expect(elsewhere.unrestored).toMatchObject([{ name: 'Hires upscaler' }]);
    }
  });

  it('finds the model in the folder of upscalers by its name', async () => {
    const byPath = await pipeline.generate({ ...APPLE, hires });
    const byName = await named.generate({ ...APPLE, hires: { ...hires, upscaler: 'compact' } });
    expect(byName.images[0]!.data).toEqual(byPath.images[0]!.data);
    const other = await named.generate({ ...APPLE, hires: { ...hires, upscaler: 'esrgan' } });
    expect(other.images[0]!.data).not.toEqual(byPath.images[0]!.data);
    await expect(
      named.generate({ ...APPLE, hires: { ...hires, upscaler: 'compcat' } }),
    ).rejects.toMatchObject({
      code: 'ADAPTER_NOT_FOUND',
      message: expect.stringMatching(/"compcat".*did you mean compact\?$/),
    });
  });

  it('writes and reads the label by which A1111 knows the model', async () => {
    const label = 'Hires upscaler: R-ESRGAN 4x+,';
    const { images } = await named.generate({ ...APPLE, hires: { ...hires, upscaler: 'RealESRGAN_x4plus' } });
    expect(images[0]!.parameters).toContain(label);
    const upscalers = [{ name: 'realesrgan_X4PLUS' }];
    expect(restoreOptions(images[0]!.parameters, { upscalers }).options.hires).toMatchObject({
      upscaler: 'realesrgan_X4PLUS',
    });
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
    for (const [name, suggestion] of [
      ['latnet', 'latent'],
      ['Latent (bicubic)', 'latent_bicubic'],
    ])
      await expect(rejected(name!)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringMatching(
          new RegExp(`upscaler model for hires\\.upscaler.*did you mean ${suggestion}\\?`),
        ),
      });
    expect(steps).not.toContain('denoise');
  });
});
