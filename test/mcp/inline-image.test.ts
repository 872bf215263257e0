import sharp from 'sharp';
import { expect, it } from 'vitest';
import { type ImageFile, inlineImage } from '../../lib/mcp/inline-image.js';

/** A PNG of noise, which cannot be compressed. */
async function noise(width: number, height: number, channels: 3 | 4 = 3): Promise<ImageFile> {
  let state = 1;
  const raw = Uint8Array.from({ length: width * height * channels }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
  const bytes = await sharp(raw, { raw: { width, height, channels } }).png().toBuffer();
  return { bytes, type: 'image/png', width, height };
}

it('returns a small image unchanged', async () => {
  const image = await noise(32, 16);
  const inline = await inlineImage(image, Math.ceil(image.bytes.length / 3) * 4);
  expect(inline).toMatchObject({ type: 'image/png', width: 32, height: 16 });
  expect(Buffer.from(inline!.data, 'base64')).toEqual(image.bytes);
});

it('returns a JPEG of the same size if that is small enough', async () => {
  const image = await noise(300, 200);
  const limit = Math.round(image.bytes.length * 1.25);
  const inline = await inlineImage(image, limit);
  expect(inline).toMatchObject({ type: 'image/jpeg', width: 300, height: 200 });
  expect(inline!.data.length).toBeLessThanOrEqual(limit);
  expect(await sharp(Buffer.from(inline!.data, 'base64')).metadata()).toMatchObject({
    format: 'jpeg',
    width: 300,
  });
});

it('reduces the size of a larger one and keeps its aspect ratio', async () => {
  const inline = await inlineImage(await noise(800, 400, 4), 120_000);
  expect(inline!.data.length).toBeLessThanOrEqual(120_000);
  expect(inline!.type).toBe('image/jpeg');
  expect([768, 512, 384, 256]).toContain(inline!.width);
  expect(inline!.height).toBe(inline!.width / 2);
  const { info } = await sharp(Buffer.from(inline!.data, 'base64')).toBuffer({ resolveWithObject: true });
  expect(info).toMatchObject({ width: inline!.width, height: inline!.height, channels: 3 });
});

it('returns nothing if even 256 pixels are too many', async () => {
  expect(await inlineImage(await noise(400, 400), 1000)).toBeUndefined();
});
