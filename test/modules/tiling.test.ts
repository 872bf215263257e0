import { describe, expect, test } from 'vitest';
import { fadesOf, runTiled, spansOf } from '../../lib/modules/tiling.js';
import { Tensor } from '../../lib/tensor/tensor.js';

function ramp(shape: readonly number[]): Tensor {
  const tensor = Tensor.zeros(shape);
  for (let i = 0; i < tensor.size; i++) tensor.data[i] = Math.sin(i / 7) + (i % 13) / 5;
  return tensor;
}

describe('tiles', () => {
  test('cover every length with the overlap and do not exceed the maximum size', () => {
    for (let length = 1; length < 400; length++) {
      const { starts, size } = spansOf(length, 64, 16);
      expect(size).toBeLessThanOrEqual(64);
      expect(starts[0]).toBe(0);
      expect(starts.at(-1)! + size).toBe(length);
      starts.slice(1).forEach((start, i) => {
        expect(start).toBeGreaterThan(starts[i]!);
        expect(starts[i]! + size - start).toBeGreaterThanOrEqual(15);
      });
    }
  });

  test('fade with weights that add up to 1 everywhere', () => {
    for (const length of [65, 96, 113, 128, 200, 333]) {
      const spans = spansOf(length, 64, 16);
      const sums = new Float64Array(length * 2);
      fadesOf(spans, 16, 2).forEach((fade, i) => {
        fade.forEach((weight, k) => {
          expect(weight).toBeGreaterThan(0);
          sums[spans.starts[i]! * 2 + k]! += weight;
        });
      });
      for (const sum of sums) expect(sum).toBeCloseTo(1, 12);
    }
  });

  test('of a local function equal the result for the whole, for several images and both directions of scale', async () => {
    // Nearest upscaling by 2, and taking every second pixel: both read one position only.
    const input = ramp([2, 3, 50, 41]);
    const enlarge = async (tile: Tensor): Promise<Tensor> => {
      const [b = 0, c = 0, h = 0, w = 0] = tile.shape;
      const output = Tensor.zeros([b, c, 2 * h, 2 * w]);
      for (let i = 0; i < output.size; i++) {
        const x = i % (2 * w);
        const y = Math.floor(i / (2 * w));
        output.data[i] =
          tile.data[Math.floor(y / (2 * h)) * h * w + Math.floor((y % (2 * h)) / 2) * w + Math.floor(x / 2)]!;
      }
      return output;
    };
    const shapes: (readonly number[])[] = [];
    const large = await runTiled(
      input,
      { height: 50, width: 41, tile: 16, overlap: 4, scale: { from: 1, to: 2 }, channels: 3 },
      (tile) => {
        shapes.push(tile.shape);
        return enlarge(tile);
      },
    );
    const whole = await enlarge(input);
    expect(large.shape).toEqual(whole.shape);
    large.data.forEach((value, i) => {
      expect(value).toBeCloseTo(whole.data[i]!, 5);
    });
    expect(new Set(shapes.map(String)).size).toBe(1);
    expect(shapes[0]).toEqual([1, 3, 16, 14]);

    const small = await runTiled(
      large,
      { height: 50, width: 41, tile: 16, overlap: 4, scale: { from: 2, to: 1 }, channels: 3 },
      async (tile) => {
        const [, c = 0, h = 0, w = 0] = tile.shape;
        const output = Tensor.zeros([1, c, h / 2, w / 2]);
        for (let i = 0; i < output.size; i++) {
          const x = i % (w / 2);
          const y = Math.floor(i / (w / 2));
          output.data[i] = tile.data[2 * y * w + 2 * x]!;
        }
        return output;
      },
    );
    small.data.forEach((value, i) => {
      expect(value).toBeCloseTo(input.data[i]!, 5);
    });
  });
});
