/** Upscaling to a size by repeated runs, and the sizes themselves. */
import { describe, expect, it } from 'vitest';
import { SafelightError } from '../../../lib/errors.js';
import { cropped, targetFields, targetOf } from '../../../lib/pipelines/upscale/target.js';
import { runsFor, upscaleTo } from '../../../lib/pipelines/upscale/upscale-to.js';
import type { Upscaler } from '../../../lib/pipelines/upscale/upscaler.js';

type Model = Pick<Upscaler, 'info' | 'upscale'>;

/** A model that enlarges with black pixels. @param sizes receives the widths of the images that it was run on */
function modelOf(scale: number, sizes: number[], onRun: () => void = () => undefined): Model {
  return {
    info: { scale },
    upscale: async ({ width, height, channels }: { width: number; height: number; channels: number }) => {
      sizes.push(width);
      onRun();
      const [w, h] = [width * scale, height * scale];
      return { data: new Uint8Array(w * h * channels), width: w, height: h, channels };
    },
  } as unknown as Model;
}

const black = (width: number, height: number, channels = 3) => ({
  ...{ data: new Uint8Array(width * height * channels), width, height, channels },
});

/** Returns the widths of the images that a model of a scale was run on. */
async function runs(scale: number, side: number): Promise<number[]> {
  const sizes: number[] = [];
  const result = await upscaleTo(modelOf(scale, sizes), black(8, 8), { width: side, height: side });
  expect(result).toMatchObject({ width: side, height: side });
  expect(runsFor(scale, { width: 8, height: 8 }, { width: side, height: side })).toBe(sizes.length);
  return sizes;
}

describe('the model', () => {
  it('runs until the image covers the size, at most three times', async () => {
    expect(await runs(4, 16)).toEqual([8]);
    expect(await runs(2, 16)).toEqual([8]);
    expect(await runs(2, 24)).toEqual([8, 16]);
    expect(await runs(2, 200)).toEqual([8, 16, 32]);
  });

  it('runs once at scale 1 and for an image that already has the size, and not to shrink an image', async () => {
    expect(await runs(1, 16)).toEqual([8]);
    expect(await runs(2, 8)).toEqual([8]);
    expect(await runs(2, 4)).toEqual([8]);
    const sizes: number[] = [];
    await upscaleTo(modelOf(2, sizes), black(64, 64), { width: 32, height: 32 });
    expect(sizes).toEqual([]);
  });

  it('is not run again once the call is finished early, but the result has the size', async () => {
    const sizes: number[] = [];
    const finish = new AbortController();
    const model = modelOf(2, sizes, () => finish.abort());
    const result = await upscaleTo(
      model,
      black(8, 8, 4),
      { width: 64, height: 64 },
      { finish: finish.signal },
    );
    expect([sizes, result.width, result.channels]).toEqual([[8], 64, 4]);
    const broken = modelOf(2, sizes, () => {
      throw new SafelightError('ABORTED', 'stopped');
    });
    const early = await upscaleTo(broken, black(8, 8), { width: 64, height: 64 }, { finish: finish.signal });
    expect(early.width).toBe(64);
    await expect(upscaleTo(broken, black(8, 8), { width: 64, height: 64 })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});

describe('the size', () => {
  const image = { width: 40, height: 24 };

  it('is a multiple of the sides, or covers a size', () => {
    expect(targetOf(image, { scale: 1.3 })).toEqual({ width: 52, height: 31, crop: undefined });
    expect(targetOf(image, { scale: 1.3, multiple: 8 })).toEqual({ width: 48, height: 24, crop: undefined });
    const size = { width: 64, height: 64 };
    expect(targetOf(image, { size, multiple: 8 })).toEqual({ width: 104, height: 64, crop: undefined });
    expect(targetOf(image, { size, crop: true })).toEqual({ width: 107, height: 64, crop: size });
    expect(targetOf(image, { scale: 0.01, multiple: 8 })).toMatchObject({ width: 8, height: 8 });
  });

  it("is described by A1111's fields", () => {
    expect(targetFields({ scale: 1.5 })).toEqual({ 'Postprocess upscale by': '1.5' });
    expect(targetFields({ size: { width: 64, height: 32 }, crop: true })).toEqual({
      'Postprocess upscale to': '64x32',
      'Postprocess crop to': '64x32',
    });
  });

  it('is cropped around the center', () => {
    const wide = { data: Uint8Array.of(1, 2, 3, 4), width: 4, height: 1, channels: 1 };
    expect([...cropped(wide, { width: 2, height: 1 }).data]).toEqual([2, 3]);
    expect([...cropped(wide, { width: 6, height: 1 }).data]).toEqual([0, 1, 2, 3, 4, 0]);
    expect(cropped(wide, undefined)).toBe(wide);
  });
});
