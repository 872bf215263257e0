import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readImage } from '../../../lib/image/read.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import {
  type Case,
  cases,
  expectedLatents,
  expectedPath,
  generateOptions,
  imagePath,
  largestDifference,
  readLatent,
  relativeError,
} from '../../support/pipeline-cases.js';
import { type TinyModel, writeFolder } from '../../support/tiny-models.js';

/** Whole images within 2 of 255, and the latents they are decoded from within 1e-3 of their largest value. */
const PIXELS = 2;
const LATENTS = 1e-3;

const root = mkdtempSync(join(tmpdir(), 'safelight-pictures-'));
const pipelines = new Map<string, Promise<Pipeline>>();

/** Loads a pipeline once for all cases that differ only in sampling options. */
function pipelineFor({ model, scheduler, options }: Case): Promise<Pipeline> {
  const prediction = options.prediction as 'eps' | 'v' | 'x0' | undefined;
  const key = `${model}-${JSON.stringify(scheduler ?? {})}-${prediction}`;
  let pipeline = pipelines.get(key);
  if (!pipeline) {
    const folder = writeFolder(model, join(root, `${pipelines.size}`), {
      ...(scheduler ? { scheduler } : {}),
    });
    pipeline = Pipeline.load(folder, { storage: 'f32', ...(prediction ? { prediction } : {}) });
    pipelines.set(key, pipeline);
  }
  return pipeline;
}

/**
 * Returns the tolerance of latents: an image between two passes is rounded to bytes, and a byte that rounds
 * differently changes the latent encoded from it.
 */
function latentsOff({ options }: (typeof cases)[number]): number {
  return options.hiresScale !== undefined && options.hiresUpscaler !== 'latent' ? 5 * LATENTS : LATENTS;
}

afterAll(async () => {
  for (const pipeline of pipelines.values()) await (await pipeline).dispose();
  rmSync(root, { recursive: true, force: true });
});

describe('whole images against the reference', () => {
  it.each(cases.map((one) => [one.name, one] as const))('match for %s', async (_, one) => {
    const pipeline = await pipelineFor(one);
    const { images } = await pipeline.generate(generateOptions(one));
    expect(images).toHaveLength(one.images.length);
    const latents = expectedLatents(one);
    for (const [i, image] of images.entries()) {
      const expected = await readImage(expectedPath(one.images[i]!));
      // With a variation, the subseed is incremented instead.
      const stays = one.options.subseedStrength !== undefined;
      expect(image.seed).toBe(Number(one.options.seed) + (stays ? 0 : i));
      expect([image.width, image.height]).toEqual([expected.width, expected.height]);
      expect(relativeError(image.latent.data, latents.at(i).data)).toBeLessThan(latentsOff(one));
      expect(largestDifference(image.data, expected.data)).toBeLessThanOrEqual(PIXELS);
    }
  });
});

describe('encode and decode', () => {
  it.each(['sd1', 'sd2', 'sdxl', 'inpaint'] as TinyModel[])('match the reference for %s', async (model) => {
    const pipeline = await pipelineFor({ name: '', model, options: {}, images: [] });
    const mean = await pipeline.encode(imagePath('init.png'));
    expect(relativeError(mean.data, readLatent(expectedPath(`encode-${model}.npy`)).data)).toBeLessThan(
      LATENTS,
    );
    const sample = await pipeline.encode(imagePath('init.png'), { posterior: 'sample', seed: 5 });
    const expected = readLatent(expectedPath(`encode-${model}-sample-5.npy`));
    expect(relativeError(sample.data, expected.data)).toBeLessThan(LATENTS);
  });
});
