import { describe, expect, it } from 'vitest';
import { imageTensor, latentsOf, unscaled } from '../../../lib/families/shared/latents.js';
import { leastSquares } from '../../../lib/families/shared/preview.js';
import type { SamplingOptions } from '../../../lib/options/declarations/sampling.js';
import { type HiresSettings, hiresTarget } from '../../../lib/options/settings/hires.js';
import type { MaskSettings } from '../../../lib/options/settings/mask.js';
import { resolveSamplingOptions } from '../../../lib/options/settings/sampling.js';
import { expandRegion, maskRegion } from '../../../lib/pipelines/diffusion/crop-region.js';
import {
  brownianRange,
  fullSigmas,
  partialSigmas,
  type ScheduledModel,
} from '../../../lib/pipelines/diffusion/denoising/sigmas.js';
import { prepareMasked } from '../../../lib/pipelines/diffusion/inpaint.js';
import { toPixels } from '../../../lib/pipelines/image-result.js';
import { DiscreteSchedule } from '../../../lib/sampling/discrete-schedule.js';
import { Tensor } from '../../../lib/tensor/tensor.js';

const schedule = DiscreteSchedule.fromConfig({
  prediction: 'eps',
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  num_train_timesteps: 1000,
  rescale_zero_snr: false,
});
const model: ScheduledModel = {
  noiseSchedule: () => schedule,
  alignYourSteps: undefined,
  shape: [1, 4, 64, 64],
};
const settings = (options: SamplingOptions) => resolveSamplingOptions(options, {});

describe('sigmas of a run', () => {
  it('are the whole schedule for text-to-image, one more than steps', () => {
    for (const sampler of ['euler', 'ddim', 'lcm', 'tcd', 'plms']) {
      expect(fullSigmas(settings({ steps: 10, sampler }), model).sigmas).toHaveLength(11);
    }
  });

  it('omit the penultimate of one more step with discardPenultimate', () => {
    const [plain, without] = [{}, { discardPenultimate: true }].map(
      (more) => fullSigmas(settings({ steps: 10, ...more }), model).sigmas,
    ) as [number[], number[]];
    expect(without).toHaveLength(11);
    expect(without.at(-2)).toBeGreaterThan(plain.at(-2)!);
  });

  it.each([
    [0, 1],
    [0.04, 1],
    [0.3, 7],
    [0.75, 16],
    [0.999, 20],
    [1, 20],
  ])('at strength %d of 20 steps are the last %i', (strength, steps) => {
    const { full, sigmas } = partialSigmas(settings({}), model, {
      steps: 20,
      strength,
      mode: 'share',
    });
    expect(full).toHaveLength(21);
    expect(sigmas).toEqual(full.slice(20 - steps));
  });

  it('in a second pass are the requested number, from a longer schedule', () => {
    const run = { steps: 5, strength: 0.5, mode: 'exact' } as const;
    const { full, sigmas } = partialSigmas(settings({}), model, run);
    expect([full.length, sigmas.length]).toEqual([11, 6]);
    expect(brownianRange(full)).toEqual([Math.fround(full.at(-2)!), Math.fround(full[0]!)]);
  });
});

describe('size of a second pass', () => {
  const target = (hires: Partial<HiresSettings>) =>
    hiresTarget(512, 384, { scale: 2, width: undefined, height: undefined, ...hires }, 8);

  it('is scaled, or follows the given side, on the grid', () => {
    expect(target({})).toMatchObject({ width: 1024, height: 768 });
    expect(target({ scale: 1.3 })).toMatchObject({ width: 664, height: 496 });
    expect(target({ width: 768 })).toEqual({ width: 768, height: 576, coverWidth: 768, coverHeight: 576 });
    expect(target({ height: 768 })).toMatchObject({ width: 1024, height: 768 });
  });

  it('is cropped from a larger one if the aspect ratio differs', () => {
    expect(target({ width: 1024, height: 1024 })).toEqual({
      width: 1024,
      height: 1024,
      coverWidth: 1360,
      coverHeight: 1024,
    });
    expect(target({ width: 1024, height: 512 })).toEqual({
      width: 1024,
      height: 512,
      coverWidth: 1024,
      coverHeight: 768,
    });
  });
});

describe('onlyMasked', () => {
  const mask = (width: number, height: number, boxes: [number, number, number, number][]) => {
    const data = new Uint8Array(width * height);
    for (const [left, top, right, bottom] of boxes) {
      for (let y = top; y < bottom; y++) data.fill(255, y * width + left, y * width + right);
    }
    return { data, width, height, channels: 1 };
  };

  it('uses the bounding box of the mask with padding inside the image', () => {
    expect(maskRegion(mask(40, 30, [[5, 6, 9, 8]]), 2)).toEqual({ left: 3, top: 4, right: 11, bottom: 10 });
    expect(
      maskRegion(
        mask(40, 30, [
          [0, 0, 1, 1],
          [39, 29, 40, 30],
        ]),
        5,
      ),
    ).toEqual({ left: 0, top: 0, right: 40, bottom: 30 });
    expect(maskRegion(mask(40, 30, []), 5)).toBeUndefined();
  });

  it('expands the box to the aspect ratio of the generated image, moved inward at the edges', () => {
    const picture = { width: 100, height: 100 };
    expect(expandRegion({ left: 40, top: 40, right: 60, bottom: 50 }, 1, picture)).toEqual({
      left: 40,
      top: 35,
      right: 60,
      bottom: 55,
    });
    expect(expandRegion({ left: 0, top: 0, right: 10, bottom: 20 }, 1, picture)).toEqual({
      left: 0,
      top: 0,
      right: 20,
      bottom: 20,
    });
    expect(expandRegion({ left: 90, top: 80, right: 100, bottom: 100 }, 1, picture)).toEqual({
      left: 80,
      top: 80,
      right: 100,
      bottom: 100,
    });
  });

  const gray = { data: new Uint8Array(64 * 48 * 3).fill(100), width: 64, height: 48, channels: 3 };
  const masked = (more: Partial<MaskSettings>) => {
    const source = { ...mask(64, 48, [[20, 10, 40, 30]]), channels: 1 as const };
    return prepareMasked(
      gray,
      {
        ...{ source, blur: [4, 4], fill: 'original', onlyMasked: false, padding: 4 },
        ...{ invert: false, round: true },
        ...more,
      },
      64,
      64,
      'resize',
    );
  };
  const red = {
    data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i % 3 === 0 ? 255 : 0)),
    width: 64,
    height: 64,
  };
  const at = (image: { data: Uint8Array; width: number }, x: number, y: number) => [
    ...image.data.subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3),
  ];

  it('pastes the result into the original at its size', async () => {
    const { image, finish } = await masked({ onlyMasked: true, blur: [0, 0] });
    expect([image.width, image.height]).toEqual([64, 64]);
    const result = await finish(red);
    expect([result.width, result.height]).toEqual([64, 48]);
    expect([at(result, 30, 20), at(result, 19, 20), at(result, 30, 30)]).toEqual([
      [255, 0, 0],
      [100, 100, 100],
      [100, 100, 100],
    ]);
  });

  it('keeps pixels far from the mask and changes its middle', async () => {
    const { mask: prepared, finish } = await masked({});
    expect([prepared!.width, prepared!.height]).toEqual([64, 64]);
    const result = await finish(red);
    expect([at(result, 30, 26), at(result, 2, 2), at(result, 60, 60)]).toEqual([
      [255, 0, 0],
      [100, 100, 100],
      [100, 100, 100],
    ]);
  });

  it('rejects a black mask', async () => {
    const source = { ...mask(64, 48, []), channels: 1 as const };
    await expect(masked({ onlyMasked: true, source })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('latents', () => {
  const config = { scaling_factor: 0.5, shift_factor: 0.25 } as Parameters<typeof latentsOf>[1];

  it('are the scaled mean, or one sample per image, and decode back', () => {
    const moments = Tensor.from(Float32Array.of(1, 2, Math.log(4), -1e9), [1, 2, 1, 2]);
    expect([...latentsOf(moments, config).data]).toEqual([0.375, 0.875]);
    const samples = latentsOf(moments, config, Float32Array.of(1, 1, -1, 0));
    expect(samples.shape).toEqual([2, 1, 1, 2]);
    // Standard deviation 2; the other's log variance is clamped, which gives e^-15.
    expect([...samples.data].map((v) => Math.round(v * 1e4) / 1e4)).toEqual([1.375, 0.875, -0.625, 0.875]);
    expect([...unscaled(latentsOf(moments, config), config).data]).toEqual([1, 2]);
  });

  it('in pixel space are -1 to 1, and pixels round half to even', () => {
    const { data } = imageTensor({ data: Uint8Array.of(0, 255, 51), width: 1, height: 1, channels: 3 });
    expect([...data].map((v) => Math.round(v * 1e6) / 1e6)).toEqual([-1, 1, -0.6]);
    const decoded = Tensor.from(Float32Array.of(-9, 1 / 255, 2), [1, 3, 1, 1]);
    expect([...toPixels(decoded).data]).toEqual([0, 128, 255]);
    expect(() => toPixels(Tensor.from(Float32Array.of(0, Number.NaN, 0), [1, 3, 1, 1]))).toThrowError(/NaN/);
  });
});

it('least squares recovers the weights that generated the values', () => {
  const rows = Array.from({ length: 40 }, (_, i) => [Math.sin(i), Math.cos(i * 1.7), (i % 7) / 7, 1]);
  const weights = [0.5, -2, 3, 0.25];
  const targets = rows.map((row) => row.reduce((sum, v, i) => sum + v * weights[i]!, 0));
  leastSquares(rows, targets).forEach((w, i) => {
    expect(w).toBeCloseTo(weights[i]!, 1);
  });
});
