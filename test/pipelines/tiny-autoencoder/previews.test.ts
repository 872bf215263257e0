import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openAutoencoder } from '../../../lib/checkpoint/open-autoencoder.js';
import { loadCodec } from '../../../lib/families/shared/latent-codec.js';
import { LatentPreview } from '../../../lib/families/shared/preview.js';
import { readImage } from '../../../lib/image/read.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../../lib/pipelines/model/load-options.js';
import type { RgbImage } from '../../../lib/tensor/render.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { caseNamed, generateOptions, largestDifference } from '../../support/pipeline-cases.js';
import { originalHalf, TAESD, writeTaesdFolder, writeTensors } from '../../support/taesd.js';
import { noise, writeFolder } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-taesd-previews-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const model = writeFolder('sd1', join(root, 'sd1'));
const taesd = writeTaesdFolder(join(root, 'taesd'));
const text = caseNamed('sd1-euler-karras');

const load = (options: LoadPipelineOptions = {}) =>
  Pipeline.load(model, { storage: 'f32', threads: 2, ...options });

/** Generates and returns the previews of all steps with the image. */
async function previewsOf(pipeline: Pipeline, options: object = {}) {
  const previews: RgbImage[] = [];
  const stream = pipeline.stream({ ...generateOptions(text), ...options });
  for await (const { preview } of stream) previews.push(await preview());
  const { images } = await stream.result;
  return { previews, image: images[0]! };
}

describe('previews with a tiny autoencoder', () => {
  it('are decoded by it, while the image is decoded by the model', async () => {
    await using pipeline = await load({ previewVae: taesd });
    await using plain = await load();
    const { previews, image } = await previewsOf(pipeline);
    const approximate = await previewsOf(plain);
    expect(largestDifference(image.data, approximate.image.data)).toBe(0);
    // The last step's x0 is the final latent, so its preview is the reference image of the tiny autoencoder.
    const expected = await readImage(join(TAESD, 'text-to-image.png'));
    expect(largestDifference(previews.at(-1)!.data, expected.data)).toBeLessThanOrEqual(3);
    expect(largestDifference(approximate.previews.at(-1)!.data, expected.data)).toBeGreaterThan(50);
    expect(pipeline.memory().preview!.weights).toBeGreaterThan(0);
    expect(plain.memory().preview).toBeUndefined();
  });

  it('need only a decoder', async () => {
    const decoder = writeTensors(join(root, 'half', 'taesd_decoder.safetensors'), originalHalf('decoder'));
    await using pipeline = await load({ previewVae: decoder });
    await using complete = await load({ previewVae: taesd });
    const [a, b] = [await previewsOf(pipeline, { steps: 1 }), await previewsOf(complete, { steps: 1 })];
    expect(largestDifference(a.previews[0]!.data, b.previews[0]!.data)).toBe(0);
  });

  it('are decoded from downscaled latents if an image is large', async () => {
    const source = await openAutoencoder(taesd, undefined, { scaling_factor: 1, shift_factor: 0 });
    const codec = await loadCodec(source, { threads: 2 });
    const unused = () => Promise.reject(new Error("the model's own codec was used"));
    const preview = new LatentPreview(unused, () => Promise.resolve(codec));
    const latent = (side: number) => Tensor.from(noise('latent', 4 * side * side), [4, side, side]);
    const small = await preview.render(latent(64), 256, 256);
    const { compute } = codec.memory()!;
    expect(compute).toBe(await codec.decodeBytes(256, 256));
    const large = await preview.render(latent(100), 400, 400);
    expect(codec.memory()!.compute).toBe(compute);
    expect([small.width, large.width, large.height]).toEqual([256, 400, 400]);
    codec.dispose();
  });

  it('are loaded on first use if the parts to load are named', async () => {
    await using pipeline = await load({ previewVae: taesd, parts: ['unet'] });
    expect(pipeline.memory().preview).toBeUndefined();
    await previewsOf(pipeline, { steps: 1 });
    expect(pipeline.memory().preview).toBeDefined();
  });

  it('are rejected with another kind of autoencoder or other latents', async () => {
    await expect(load({ previewVae: join(model, 'vae') })).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringMatching(/is not a tiny autoencoder, which previews need/),
    });
    const wide = new Map(originalHalf('decoder'));
    wide.set('1.weight', { dtype: 'F16', shape: [8, 16, 3, 3], data: new Uint8Array(2 * 8 * 16 * 9) });
    const previewVae = writeTensors(join(root, 'wide', 'taef1_decoder.safetensors'), wide);
    await expect(load({ previewVae })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringMatching(/latents of 16 channels, but the U-Net predicts 4/),
    });
    await expect(load({ previewVae: join(root, 'none') })).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(load({ previewVae: 3 as unknown as string })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});
