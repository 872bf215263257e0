import { generateImage } from 'ai';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { createSafelight } from '../../lib/ai/index.js';
import { starterModel } from '../../lib/checkpoint/open.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import { changeOf } from '../support/image-change.js';

const safelight = createSafelight({ threads: 1, models: { mine: starterModel } });
afterAll(() => safelight.dispose());
const options = { safelight: { steps: 3 } };

const flat = (background: string, width = 64, height = 64, channels: 3 | 4 = 4): Promise<Buffer> =>
  sharp({ create: { width, height, channels, background } }).png().toBuffer();

describe("the AI SDK's generateImage with Safelight", () => {
  it('generates the image that the pipeline generates and reports how it was made', async () => {
    const { image, warnings, providerMetadata } = await generateImage({
      model: safelight.image('starter'),
      prompt: 'a red apple',
      size: '64x64',
      seed: 7,
      providerOptions: options,
    });
    expect(image.mediaType).toBe('image/png');
    expect(warnings).toEqual([]);
    expect(providerMetadata.safelight?.images).toMatchObject([{ seed: 7, width: 64, height: 64 }]);
    const pipeline = await Pipeline.load(undefined, { threads: 1 });
    const { images } = await pipeline.generate({
      prompt: 'a red apple',
      steps: 3,
      seed: 7,
      width: 64,
      height: 64,
    });
    await pipeline.dispose();
    expect(Buffer.from(image.uint8Array).equals(await images[0]!.png())).toBe(true);
  });

  it('gives each of several images its own seed', async () => {
    const { images } = await generateImage({
      model: safelight.imageModel('mine'),
      prompt: 'a pear',
      n: 3,
      seed: 1,
      aspectRatio: '2:1',
      providerOptions: options,
    });
    expect(new Set(images.map(({ base64 }) => base64)).size).toBe(3);
    const { width = 0, height = 1 } = await sharp(images[0]!.uint8Array).metadata();
    expect(width / height).toBeCloseTo(2, 0);
  });

  it("edits the transparent part of the mask and keeps the rest, as in OpenAI's API", async () => {
    const picture = await flat('#2060a0');
    // The lower half is transparent; opaque pixels are neither black nor white.
    const mask = await sharp({ create: { width: 64, height: 64, channels: 4, background: '#00000000' } })
      .composite([{ input: await flat('#808080ff', 64, 32), top: 0, left: 0 }])
      .png()
      .toBuffer();
    const { image } = await generateImage({
      model: safelight('starter'),
      prompt: { text: 'a red apple', images: [picture], mask },
      seed: -1,
      providerOptions: { safelight: { steps: 6, strength: 1, fill: 'noise', maskBlur: 0 } },
    });
    const pixels = await sharp(image.uint8Array).raw().toBuffer();
    expect(changeOf(pixels, 0, 24)).toBeLessThan(6);
    expect(changeOf(pixels, 40, 64)).toBeGreaterThan(30);
  });

  it.each([
    ['without an alpha channel', () => flat('#000000', 64, 64, 3)],
    ['that is completely opaque', () => flat('#ffffffff')],
  ])('rejects a mask %s', async (_, mask) => {
    const prompt = { text: 'an apple', images: [await flat('#2060a0')], mask: await mask() };
    await expect(
      generateImage({ model: safelight('starter'), prompt, providerOptions: options, maxRetries: 0 }),
    ).rejects.toMatchObject({ code: 'INVALID_IMAGE', message: expect.stringContaining('transparent') });
  });

  it('stops when its signal is aborted and names an invalid option', async () => {
    const abortSignal = AbortSignal.timeout(30);
    const many = { model: safelight.image('starter'), prompt: 'a castle', n: 50, maxRetries: 0 };
    await expect(generateImage({ ...many, abortSignal })).rejects.toThrow();
    const wrong = { safelight: { sampler: 'nothing' } };
    await expect(generateImage({ ...many, providerOptions: wrong })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await expect(
      generateImage({ model: safelight.image('no/such/file'), prompt: 'x', maxRetries: 0 }),
    ).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});
