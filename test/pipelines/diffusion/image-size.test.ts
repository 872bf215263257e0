import { describe, expect, it } from 'vitest';
import { fittingSize, warnIfLarge } from '../../../lib/pipelines/diffusion/image-size.js';
import { Warnings } from '../../../lib/warnings.js';

const native = { width: 512, height: 512 };
const sizeFor = (width: number, height: number, asked: { width?: number; height?: number } = {}) =>
  fittingSize({ width: asked.width, height: asked.height }, { width, height }, 8, native);

describe('the default size of an image', () => {
  it('is that of the initial image, rounded down to the grid, up to the model’s pixel count', () => {
    expect(sizeFor(300, 205)).toEqual({ width: 296, height: 200, scaled: false });
    expect(sizeFor(512, 512)).toEqual({ width: 512, height: 512, scaled: false });
    expect(sizeFor(1024, 256)).toEqual({ width: 1024, height: 256, scaled: false });
    expect(sizeFor(519, 519)).toEqual({ width: 512, height: 512, scaled: false });
    expect(sizeFor(7, 9)).toMatchObject({ width: 0, scaled: false });
  });

  it.each([
    [4000, 3000],
    [3000, 4000],
    [4032, 3024],
    [6000, 2000],
    [520, 520],
    [8000, 800],
    [1920, 1080],
    [16_384, 160],
  ])('keeps the aspect ratio of %d x %d with at most the model’s pixels', (width, height) => {
    const { scaled, ...size } = sizeFor(width, height);
    expect(scaled).toBe(true);
    expect([size.width % 8, size.height % 8]).toEqual([0, 0]);
    const pixels = size.width * size.height;
    expect(pixels).toBeLessThanOrEqual(512 * 512);
    expect(pixels).toBeGreaterThan(0.85 * 512 * 512);
    const short = Math.min(size.width, size.height);
    expect(Math.abs(Math.log((size.width * height) / (size.height * width)))).toBeLessThan(8 / short);
  });

  it('keeps requested sizes, and the aspect ratio of a large image if only one side is given', () => {
    expect(sizeFor(4000, 3000, { width: 4096, height: 64 })).toEqual({
      width: 4096,
      height: 64,
      scaled: false,
    });
    expect(sizeFor(4000, 3000, { width: 1024 })).toEqual({ width: 1024, height: 768, scaled: true });
    expect(sizeFor(4000, 3000, { height: 600 })).toEqual({ width: 800, height: 600, scaled: true });
    expect(sizeFor(4000, 3000, { width: 4000 })).toEqual({ width: 4000, height: 3000, scaled: false });
    expect(sizeFor(300, 205, { width: 64 })).toEqual({ width: 64, height: 200, scaled: false });
  });
});

it('warns about more than four times the model’s pixels', () => {
  const of = (width: number, height: number) => {
    const warnings = new Warnings();
    warnIfLarge(warnings, { width, height }, native);
    return warnings.list;
  };
  expect(of(1024, 1024)).toEqual([]);
  expect(of(2048, 512)).toEqual([]);
  expect(of(1024, 1032)).toMatchObject([{ code: 'LARGE_IMAGE' }]);
  expect(of(4096, 4096)[0]!.message).toMatch(/4096 x 4096 pixels has 64 times .* 512 x 512/);
});
