import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../../lib/pipelines/model/load-options.js';
import { imagePath, largestDifference } from '../../support/pipeline-cases.js';
import { type TinyModel, writeFolder, writeSingleFile } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-forms-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const PLAIN = {
  prompt: 'a red apple',
  negative: 'blurry',
  seed: 3,
  steps: 3,
  width: 48,
  height: 64,
} as const;

/** Generates pixels and the latent they were decoded from. */
async function draw(path: string, load: LoadPipelineOptions = {}, options: object = {}) {
  const pipeline = await Pipeline.load(path, load);
  try {
    const { images } = await pipeline.generate({ ...PLAIN, ...options });
    return { pixels: images[0]!.data, latent: [...images[0]!.latent.data] };
  } finally {
    await pipeline.dispose();
  }
}

/** Settings that a folder contains and a single file does not. */
const TOLD: Readonly<Record<TinyModel, LoadPipelineOptions>> = {
  sd1: {},
  inpaint: {},
  sd2: { prediction: 'v' },
  sdxl: {},
};

describe('a folder and a single file with the same weights', () => {
  it.each(Object.keys(TOLD) as TinyModel[])('generate byte-identical images: %s', async (model) => {
    const folder = writeFolder(model, join(root, model), { standardVocabulary: true });
    const file = writeSingleFile(model, join(root, `${model}.safetensors`));
    const [a, b] = [await draw(folder), await draw(file, TOLD[model])];
    expect(b.latent).toEqual(a.latent);
    expect(largestDifference(b.pixels, a.pixels)).toBe(0);
    // Also with influence of the pooled text, the padding and the empty negative prompt.
    const empty = { negative: '', prompt: 'a (red:1.2) apple BREAK on a road' };
    expect((await draw(file, TOLD[model], empty)).latent).toEqual((await draw(folder, {}, empty)).latent);
  });

  it('agree if the file contains the marker tensors v_pred and ztsnr', async () => {
    const marker = { dtype: 'F32', shape: [1], data: new Uint8Array(4) };
    const folder = join(root, 'sd1-v');
    writeFolder('sd1', folder, {
      standardVocabulary: true,
      scheduler: { prediction_type: 'v_prediction', rescale_betas_zero_snr: true },
    });
    const file = writeSingleFile('sd1', join(root, 'sd1-v.safetensors'), { v_pred: marker, ztsnr: marker });
    expect((await draw(file)).latent).toEqual((await draw(folder)).latent);
  });
});

describe('text encoder names', () => {
  it.each([true, false])('with a text_model. %s prefix name the same weights', async (textPrefix) => {
    const folder = writeFolder('sdxl', join(root, `names-${textPrefix}`), { textPrefix });
    const other = writeFolder('sdxl', join(root, `names-${textPrefix}-other`));
    expect((await draw(folder)).latent).toEqual((await draw(other)).latent);
  });
});

describe('storage', () => {
  const folder = writeFolder('sd1', join(root, 'stored'));

  it('in f32, f16 and, if the weights allow it, as in the file gives the same image', async () => {
    const [own, f32, f16] = [
      await draw(folder),
      await draw(folder, { storage: 'f32' }),
      await draw(folder, { storage: 'f16' }),
    ];
    // The fixture's weights are exact in f16, and arithmetic is f32 in all three.
    expect(largestDifference(f16.pixels, f32.pixels)).toBeLessThanOrEqual(1);
    expect(own.latent).toEqual(f16.latent);
  });

  it.each([
    ['bf16', 4],
    ['q8_0', 8],
  ] as const)('%s changes pixels by at most %d of 255 on average', async (storage, most) => {
    const [exact, stored] = [await draw(folder, { storage: 'f32' }), await draw(folder, { storage })];
    const mean =
      exact.pixels.reduce((sum, v, i) => sum + Math.abs(v - stored.pixels[i]!), 0) / exact.pixels.length;
    expect(mean).toBeGreaterThan(0);
    expect(mean).toBeLessThan(most);
  });
});

describe('a changed option', () => {
  it.each([
    ['one word of the prompt', { prompt: 'a blue apple' }],
    ['the negative prompt', { negative: 'soft' }],
    ['the seed', { seed: 4 }],
    ['the number of steps', { steps: 4 }],
    ['the guidance scale', { cfg: 5 }],
    ['clip skip', { clipSkip: 2 }],
    ['the random generator', { rng: 'cuda' }],
    ['the initial image', { init: imagePath('init.png'), strength: 0.5 }],
  ])('changes the image: %s', async (_, change) => {
    const folder = join(root, 'stored');
    const [a, b] = [await draw(folder), await draw(folder, {}, change)];
    const mean = a.pixels.reduce((sum, v, i) => sum + Math.abs(v - b.pixels[i]!), 0) / a.pixels.length;
    expect(mean).toBeGreaterThan(2);
  });
});
