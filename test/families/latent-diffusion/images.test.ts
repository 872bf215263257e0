import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { type Case, cases, expectedOf, generateOptions, writeModel } from '../../support/latent-diffusion.js';
import { largestDifference, relativeError } from '../../support/pipeline-cases.js';

/** Whole images within 2 of 255, and the latents they are decoded from within 1e-3 of their largest value. */
const PIXELS = 2;
const LATENTS = 1e-3;

const root = mkdtempSync(join(tmpdir(), 'safelight-ldm-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function draw(one: Case) {
  const path = writeModel(one, join(root, one.name));
  await using pipeline = await Pipeline.load(path, { storage: 'f32', threads: 1 });
  const { factor } = pipeline.info;
  const [height, width] = one.size.map((side) => side * factor) as [number, number];
  return (await pipeline.generate({ ...generateOptions(one), height, width })).images;
}

describe('latent diffusion against the reference', () => {
  it.each(cases.map((one) => [one.name, one] as const))(
    'matches the image and the latent of %s',
    async (_, one) => {
      const images = await draw(one);
      const { latent, pictures } = await expectedOf(one);
      expect(images).toHaveLength(latent.shape[0]!);
      const size = pictures.length / images.length;
      for (const [i, image] of images.entries()) {
        expect(image.seed).toBe(Number(one.options.seed) + i);
        expect(relativeError(image.latent.data, latent.at(i).data)).toBeLessThan(LATENTS);
        expect(
          largestDifference(image.data, pictures.subarray(i * size, (i + 1) * size)),
        ).toBeLessThanOrEqual(PIXELS);
      }
    },
  );
});
