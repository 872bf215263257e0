import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { grayChannels, Strip } from '../../../lib/jobs/trace/strip.js';

const image = (width: number, height: number, value: number, channels = 3) => ({
  ...{ data: new Uint8Array(width * height * channels).fill(value), width, height },
});

describe('a strip of images', () => {
  it('contains its images one below the other, as wide as the widest', async () => {
    const strip = new Strip(3);
    expect(strip.empty).toBe(true);
    expect(strip.add(image(2, 1, 10))).toEqual({ top: 0, width: 2, height: 1 });
    expect(strip.add(image(3, 2, 20))).toEqual({ top: 1, width: 3, height: 2 });
    const { data, width, height } = await strip.png();
    expect({ width, height, empty: strip.empty }).toEqual({ width: 3, height: 3, empty: false });
    const pixels = await sharp(data).extractChannel(0).raw().toBuffer();
    expect([...pixels]).toEqual([10, 10, 0, 20, 20, 20, 20, 20, 20]);
  });

  it('refuses an image that would make it higher than 16,384 pixels, and still accepts a smaller one', () => {
    const strip = new Strip(1);
    strip.add(image(1, 16_000, 0, 1));
    expect(strip.add(image(1, 400, 0, 1))).toBeUndefined();
    expect(strip.add(image(1, 384, 0, 1))).toEqual({ top: 16_000, width: 1, height: 384 });
  });
});

describe('the gray image of channels', () => {
  it('shows them side by side, the mean of each as middle gray', () => {
    const { data, width, height } = grayChannels([Float32Array.of(1, 3), Float32Array.of(5, 5)], 1, 2);
    expect({ width, height }).toEqual({ width: 2, height: 2 });
    const [low, constant, high] = data;
    expect(low!).toBeLessThan(high!);
    expect(Math.abs(low! + high! - 255)).toBeLessThanOrEqual(1);
    expect(constant).toBe(128);
  });

  it('shows numbers beyond 2.5 standard deviations as white or black, and NaN as black', () => {
    const values = new Float32Array(100);
    values[0] = 1000;
    expect(grayChannels([values], 100, 1).data[0]).toBe(255);
    expect(new Set(grayChannels([Float32Array.of(Number.NaN, 1)], 2, 1).data)).toEqual(new Set([128]));
  });
});
