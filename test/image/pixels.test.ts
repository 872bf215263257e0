import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { blurByBoxes, blurMask } from '../../lib/image/blur.js';
import { blend, crop, fillMasked, maskOf, paste, toGray } from '../../lib/image/composite.js';
import { type ByteImage, type ResampleFilter, resample } from '../../lib/image/resample.js';
import { Tensor } from '../../lib/tensor/tensor.js';

/** Fixtures are written by test/reference/image.py (Pillow, OpenCV). */
const fixture = (name: string) => new URL(`../fixtures/image/${name}`, import.meta.url);

function load(name: string): ByteImage {
  const { data, shape } = Tensor.fromNpy(readFileSync(fixture(`${name}.npy`)));
  const [height, width, channels = 1] = shape as [number, number, number?];
  return { data: Uint8Array.from(data), width, height, channels };
}

function furthest(a: ByteImage, b: ByteImage): number {
  expect([a.width, a.height, a.channels]).toEqual([b.width, b.height, b.channels]);
  return a.data.reduce((most, v, i) => Math.max(most, Math.abs(v - b.data[i]!)), 0);
}

describe('resizing', () => {
  const cases: [ResampleFilter, number, number][] = JSON.parse(readFileSync(fixture('resize.json'), 'utf8'));
  it.each(cases)('%s to %ix%i matches Pillow byte for byte', async (filter, width, height) => {
    const resized = await resample(load('picture'), width, height, filter);
    expect(furthest(resized, load(`${filter}-${width}x${height}`))).toBe(0);
  });

  it('rejects invalid sizes', async () => {
    const picture = load('picture');
    for (const size of [0, -1, 1.5, Number.NaN]) {
      await expect(resample(picture, size, 8)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    }
  });

  it('stops when aborted', async () => {
    const big = { data: new Uint8Array(3000 * 2000 * 3), width: 3000, height: 2000, channels: 3 };
    await expect(resample(big, 700, 500, 'lanczos', AbortSignal.timeout(1))).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});

describe('blurs', () => {
  it.each([1, 4, 7, 16])('a mask blurred by %i matches OpenCV', async (sigma) => {
    expect(furthest(await blurMask(load('mask'), [sigma, sigma]), load(`blur-${sigma}`))).toBe(0);
  });

  it.each([2, 4, 16, 256])('an image blurred by %i matches Pillow', async (radius) => {
    expect(furthest(await blurByBoxes(load('picture'), radius), load(`boxes-${radius}`))).toBe(0);
  });
});

describe('compositing', () => {
  it('luminance matches Pillow', () => {
    expect(furthest(toGray(load('picture')), load('gray'))).toBe(0);
  });

  it('filling a hole from its surroundings matches A1111', async () => {
    expect(furthest(await fillMasked(load('picture'), load('hole')), load('filled'))).toBe(0);
  });

  it('a mask is the transparency of an image that has any, and its brightness otherwise', () => {
    const pixels = Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 255);
    const mask = (data: Uint8Array<ArrayBuffer>) => [
      ...maskOf({ data, width: 2, height: 1, channels: 4 }).data,
    ];
    expect(mask(pixels)).toEqual([255, 0]);
    expect(mask(Uint8Array.of(0, 0, 0, 200, 255, 255, 255, 0))).toEqual([255, 0]);
  });

  it('a blend keeps the pixels that the mask does not cover, exactly', () => {
    const [under, over] = [load('picture'), { ...load('picture'), data: new Uint8Array(29 * 41 * 3) }];
    const mask = { data: new Uint8Array(29 * 41).fill(255, 41), width: 41, height: 29, channels: 1 };
    const mixed = blend(under, over, mask);
    expect(mixed.data.subarray(0, 41 * 3)).toEqual(under.data.subarray(0, 41 * 3));
    expect(mixed.data.subarray(41 * 3).every((v) => v === 0)).toBe(true);
  });

  it('pasting a crop back restores the image', () => {
    const picture = load('picture');
    const part = crop(picture, 3, 4, 20, 10);
    expect([...part.data.subarray(0, 3)]).toEqual([
      ...picture.data.subarray((4 * 41 + 3) * 3, (4 * 41 + 3) * 3 + 3),
    ]);
    expect(paste(picture, part, 3, 4).data).toEqual(picture.data);
  });
});
