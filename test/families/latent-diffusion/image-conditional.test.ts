import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readImage } from '../../../lib/image/read.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { caseNamed, generateOptions, picturePath, writeModel } from '../../support/latent-diffusion.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-ldm-'));
const pipelines: Record<string, Pipeline> = {};

beforeAll(async () => {
  for (const name of ['inpaint', 'super-resolution'])
    pipelines[name] = await Pipeline.load(writeModel(caseNamed(name), join(root, name)), { threads: 1 });
});
afterAll(async () => {
  for (const pipeline of Object.values(pipelines)) await pipeline.dispose();
  rmSync(root, { recursive: true, force: true });
});

const [init, mask] = [picturePath('init.png'), picturePath('mask.png')];

describe('image-conditional latent diffusion models', () => {
  it.each([
    ['super-resolution', {}, /a picture to enlarge.*init/],
    ['super-resolution', { init, mask }, /leave out mask/],
    ['super-resolution', { init, hires: {} }, /init.*hires|hires.*init/],
    ['super-resolution', { init, prompt: 'sharp' }, /reads no text/],
    ['inpaint', {}, /a picture to repaint.*init/],
    ['inpaint', { init }, /white where this model is to repaint.*mask/],
  ] as [string, GenerateOptions, RegExp][])(
    'rejects for the model "%s" the options %j',
    async (name, options, sentence) => {
      await expect(pipelines[name]!.generate({ steps: 4, ...options })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringMatching(sentence),
      });
    },
  );

  it('enlarges by its downsample factor, or to the given size', async () => {
    const { factor } = pipelines['super-resolution']!.info;
    const options = generateOptions(caseNamed('super-resolution'));
    const [image] = (await pipelines['super-resolution']!.generate(options)).images;
    expect([image!.width, image!.height]).toEqual([16 * factor, 8 * factor]);
    const [other] = (await pipelines['super-resolution']!.generate({ ...options, width: 24, height: 24 }))
      .images;
    expect([other!.width, other!.height]).toEqual([24, 24]);
  });

  it('keeps the pixels that the mask does not hide', async () => {
    const [image] = (await pipelines.inpaint!.generate(generateOptions(caseNamed('inpaint')))).images;
    const [before, hidden] = [await readImage(init), await readImage(mask)];
    let changed = 0;
    for (let i = 0; i < image!.data.length; i++) {
      if (hidden.data[i]! < 128) expect(image!.data[i]).toBe(before.data[i]);
      else changed += image!.data[i] === before.data[i] ? 0 : 1;
    }
    expect(changed).toBeGreaterThan(100);
  });
});
