/** Whole images of the tiny Stable Diffusion 1 with a tiny autoencoder, against test/reference/taesd.py. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readImage } from '../../../lib/image/read.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../../lib/pipelines/model/load-options.js';
import {
  caseNamed,
  expectedLatents,
  expectedPath,
  generateOptions,
  imagePath,
  largestDifference,
  readLatent,
  relativeError,
} from '../../support/pipeline-cases.js';
import { originalHalf, TAESD, taesdForms, writeTaesdFolder, writeTensors } from '../../support/taesd.js';
import { writeFolder, writeSingleFile } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-taesd-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const model = writeFolder('sd1', join(root, 'sd1'));
const taesd = writeTaesdFolder(join(root, 'taesd'));
const text = caseNamed('sd1-euler-karras');
const image = caseNamed('image');

/** Mean difference of two images of the same size. */
function meanDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
}

const load = (options: LoadPipelineOptions = {}, path = model) =>
  Pipeline.load(path, { storage: 'f32', threads: 2, ...options });

async function decoderAlone(name: string): Promise<string> {
  return writeTensors(join(root, name, 'taesd_decoder.safetensors'), originalHalf('decoder'));
}

describe('a tiny autoencoder in place of the autoencoder', () => {
  it.each([
    ['text-to-image', text],
    ['image-to-image', image],
  ] as const)('generates the reference image of %s, unlike the KL autoencoder', async (name, one) => {
    await using pipeline = await load({ vae: taesd });
    const [result] = (await pipeline.generate(generateOptions(one))).images;
    const expected = await readImage(join(TAESD, `${name}.png`));
    expect(largestDifference(result!.data, expected.data)).toBeLessThanOrEqual(3);
    const kl = await readImage(expectedPath(one.images[0]!));
    expect(meanDifference(result!.data, kl.data)).toBeGreaterThan(15);
    const latents =
      name === 'text-to-image' ? expectedLatents(one) : readLatent(join(TAESD, 'image-to-image.npy'));
    expect(relativeError(result!.latent.data, latents.data)).toBeLessThan(1e-3);
  });

  it('encodes images to unscaled latents, and ignores the seed of a posterior', async () => {
    await using pipeline = await load({ vae: taesd });
    const latent = await pipeline.encode(imagePath('init.png'));
    expect(relativeError(latent.data, readLatent(join(TAESD, 'encoded.npy')).data)).toBeLessThan(1e-3);
    const sample = await pipeline.encode(imagePath('init.png'), { posterior: 'sample', seed: 5 });
    expect(sample.data).toEqual(latent.data);
  });

  it('decodes the same image from every form of its files, with a folder and a single file', async () => {
    const latent = expectedLatents(text);
    await using first = await load({ vae: taesd });
    const [expected] = await first.decode(latent);
    for (const [i, write] of Object.values(taesdForms).entries()) {
      await using pipeline = await load({ vae: write(join(root, `form-${i}`)), parts: ['autoencoder'] });
      const [decoded] = await pipeline.decode(latent);
      expect(largestDifference(decoded!.data, expected!.data)).toBe(0);
    }
    const file = writeSingleFile('sd1', join(root, 'sd1.safetensors'));
    await using pipeline = await load({ vae: taesd, parts: ['autoencoder'] }, file);
    const [decoded] = await pipeline.decode(latent);
    expect(largestDifference(decoded!.data, expected!.data)).toBe(0);
  });

  it('generates with a decoder alone, and rejects an initial image with the name of the missing file', async () => {
    await using pipeline = await load({ vae: await decoderAlone('alone') });
    expect(pipeline.info.modules).toEqual(['text_encoder', 'unet', 'decoder']);
    const [result] = (await pipeline.generate(generateOptions(text))).images;
    const expected = await readImage(join(TAESD, 'text-to-image.png'));
    expect(largestDifference(result!.data, expected.data)).toBeLessThanOrEqual(3);
    await expect(pipeline.generate(generateOptions(image))).rejects.toMatchObject({
      code: 'MISSING_TENSOR',
      message: expect.stringMatching(
        /taesd_decoder\.safetensors contains only the decoder.*taesd_encoder\.safetensors/,
      ),
    });
    await expect(
      pipeline.tap({ module: 'encoder', names: ['x'], image: imagePath('init.png') }),
    ).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });

  it('is rejected if its latents are those of another model', async () => {
    const wide = new Map(originalHalf('decoder'));
    wide.set('1.weight', { dtype: 'F16', shape: [8, 16, 3, 3], data: new Uint8Array(2 * 8 * 16 * 9) });
    const vae = writeTensors(join(root, 'wide', 'taef1_decoder.safetensors'), wide);
    await expect(load({ vae })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringMatching(/U-Net predicts 4 channels, but latents of the autoencoder have 16/),
    });
  });

  it('decodes with stock operations and in lean mode as in other modes', async () => {
    const latent = expectedLatents(text);
    await using first = await load({ vae: taesd });
    const [expected] = await first.decode(latent);
    for (const options of [{ stockOps: true }, { memory: 'lean' }] as const) {
      await using pipeline = await load({ vae: taesd, ...options });
      const [decoded] = await pipeline.decode(latent);
      expect(largestDifference(decoded!.data, expected!.data)).toBeLessThanOrEqual(1);
      expect(pipeline.memory().autoencoder!.weights).toBeLessThan(100_000);
    }
  });

  it('decodes latents of Stable Diffusion XL without their scale', async () => {
    const xl = writeFolder('sdxl', join(root, 'sdxl'));
    await using pipeline = await load({ vae: taesd, parts: ['autoencoder'] }, xl);
    await using other = await load({ vae: taesd, parts: ['autoencoder'] });
    const latent = expectedLatents(text);
    const [[a], [b]] = [await pipeline.decode(latent), await other.decode(latent)];
    expect(largestDifference(a!.data, b!.data)).toBe(0);
    const { images } = await pipeline.generate({ prompt: 'a red apple', steps: 1, width: 32, height: 32 });
    expect([images[0]!.width, images[0]!.height]).toEqual([32, 32]);
  });

  it('lists and returns the nodes of its encoder and decoder', async () => {
    await using pipeline = await load({ vae: taesd });
    const nodes = await pipeline.nodes({ module: 'decoder', width: 32, height: 32 });
    expect(nodes.map(({ name }) => name)).toContain('decoder.layers.3');
    const latent = expectedLatents(text);
    const names = ['decoder.layers.9'];
    const { 'decoder.layers.9': last } = await pipeline.tap({ module: 'decoder', names, latent });
    const [decoded] = await pipeline.decode(latent);
    const bytes = last!.data.map((value) => Math.round(255 * Math.min(1, Math.max(0, value))));
    expect(Math.abs(bytes[0]! - decoded!.data[0]!)).toBeLessThanOrEqual(1);
    const encoded = await pipeline.tap({
      ...{ module: 'encoder', names: ['encoder.layers.6'], image: imagePath('init.png') },
    });
    const { data } = await pipeline.encode(imagePath('init.png'));
    expect(relativeError(encoded['encoder.layers.6']!.data, data)).toBeLessThan(1e-5);
  });
});
