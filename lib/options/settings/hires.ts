/** The second, larger pass as the pipeline takes it. */
import { invalidOption } from '../../errors.js';
import { resolveSampler } from '../../sampling/samplers/index.js';
import { resolveSchedule } from '../../sampling/schedules/index.js';
import type { HiresUpscaler, hiresFields } from '../declarations/hires.js';
import type { CheckedOf } from '../field.js';
import type { SamplingSettings } from './sampling.js';

export interface HiresSettings {
  readonly scale: number;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly steps: number | undefined;
  readonly strength: number;
  readonly upscaler: HiresUpscaler;
  readonly prompt: string | undefined;
  readonly negative: string | undefined;
  /** Complete: of the second pass. */
  readonly sampling: SamplingSettings;
}

type CheckedHires = NonNullable<CheckedOf<typeof hiresFields>['hires']>;

/** @throws INVALID_OPTION beside an image to begin from, and for a sampler or schedule that there is not */
export function hiresSettings(
  hires: CheckedHires | undefined,
  init: unknown,
  sampling: SamplingSettings,
): HiresSettings | undefined {
  if (hires === undefined) return undefined;
  if (init !== undefined)
    throw invalidOption('hires', 'no init beside it (it is a second pass of text to image)', hires);
  const { scale, width, height, steps, strength, upscaler, prompt, negative } = hires;
  return {
    ...{ scale, width, height, steps, strength, upscaler, prompt, negative },
    sampling: secondSampling(hires, sampling),
  };
}

/** The first pass's, but for what the second has of its own. */
function secondSampling(hires: CheckedHires, first: SamplingSettings): SamplingSettings {
  const named = hires.sampler === undefined ? undefined : resolveSampler(hires.sampler);
  const sampler = named?.sampler ?? first.sampler;
  const schedule = hires.schedule ?? named?.schedule;
  return {
    ...first,
    sampler,
    // They are the first pass's; the second has a schedule of as many steps.
    sigmas: undefined,
    schedule: schedule === undefined ? first.schedule : resolveSchedule(schedule, sampler.automaticSchedule),
    discardPenultimate: hires.discardPenultimate ?? first.discardPenultimate,
  };
}

/** The second pass's size, and the size to enlarge to before the middle of it is cut out (another only if the ratio differs). */
export interface HiresTarget {
  readonly width: number;
  readonly height: number;
  readonly coverWidth: number;
  readonly coverHeight: number;
}

/** A1111's arithmetic: all sizes on the grid. */
export function hiresTarget(
  width: number,
  height: number,
  hires: Pick<HiresSettings, 'scale' | 'width' | 'height'>,
  downsampleFactor: number,
): HiresTarget {
  const onGrid = (size: number): number =>
    Math.max(downsampleFactor, Math.floor(size / downsampleFactor) * downsampleFactor);
  const same = (w: number, h: number): HiresTarget => ({
    width: w,
    height: h,
    coverWidth: w,
    coverHeight: h,
  });
  const { width: w, height: h, scale } = hires;
  if (w === undefined && h === undefined) return same(onGrid(width * scale), onGrid(height * scale));
  if (h === undefined) return same(w!, onGrid((w! * height) / width));
  if (w === undefined) return same(onGrid((h * width) / height), h);
  const wider = width / height < w / h;
  return {
    width: w,
    height: h,
    coverWidth: wider ? w : Math.max(w, onGrid((h * width) / height)),
    coverHeight: wider ? Math.max(h, onGrid((w * height) / width)) : h,
  };
}
