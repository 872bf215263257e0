/** Resolves the options of the second, larger pass to the settings of the pipeline. */
import { basename } from 'node:path';
import { invalidOption } from '../../errors.js';
import { weightsEnding } from '../../hub/find-models.js';
import { resolveSampler } from '../../sampling/samplers/index.js';
import { resolveSchedule } from '../../sampling/schedules/index.js';
import { type HiresUpscaler, hiresFields } from '../declarations/hires.js';
import type { CheckedOf } from '../field.js';
import { runsOnOwnTimesteps, type SamplingSettings } from './sampling.js';

/** An upscaler model. */
export interface UpscalerModel {
  /** Name in the folder of upscalers, or path of the file. */
  readonly file: string;
}

export interface HiresSettings {
  readonly scale: number;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly steps: number | undefined;
  readonly strength: number;
  readonly upscaler: HiresUpscaler | UpscalerModel;
  readonly prompt: string | undefined;
  readonly negative: string | undefined;
  /** All sampling settings of the second pass. */
  readonly sampling: SamplingSettings;
}

type CheckedHires = NonNullable<CheckedOf<typeof hiresFields>['hires']>;

/**
 * Returns undefined without `hires`.
 * @throws INVALID_OPTION together with `init`, and for an unknown sampler or schedule
 */
export function hiresSettings(
  hires: CheckedHires | undefined,
  init: unknown,
  sampling: SamplingSettings,
): HiresSettings | undefined {
  if (hires === undefined) return undefined;
  if (init !== undefined)
    throw invalidOption(
      'hires',
      'undefined together with init (it is a second pass of text to image)',
      hires,
    );
  const { scale, width, height, steps, strength, upscaler, prompt, negative } = hires;
  return {
    ...{ scale, width, height, steps, strength, prompt, negative },
    upscaler: isUpscalerName(upscaler) ? upscaler : { file: upscaler },
    sampling: secondSampling(hires, sampling),
  };
}

/** True for a built-in upscaler. */
export function isUpscalerName(upscaler: string): upscaler is HiresUpscaler {
  return hiresFields.hires.fields.upscaler.values.some((name) => name === upscaler);
}

/** Returns the name of an upscaler that images record: that of a model's file without its ending. */
export function upscalerName(upscaler: HiresSettings['upscaler']): string {
  if (typeof upscaler === 'string') return upscaler;
  return basename(upscaler.file).replace(weightsEnding, '');
}

/** Returns the settings of the first pass with those given for the second. */
function secondSampling(hires: CheckedHires, first: SamplingSettings): SamplingSettings {
  const named = hires.sampler === undefined ? undefined : resolveSampler(hires.sampler);
  const sampler = named?.sampler ?? first.sampler;
  const schedule = hires.schedule ?? named?.schedule;
  const same = sampler.name === first.sampler.name && schedule === undefined;
  return {
    ...first,
    sampler,
    // Custom sigmas apply to the first pass only; the second uses a schedule with as many steps.
    sigmas: undefined,
    schedule: schedule === undefined ? first.schedule : resolveSchedule(schedule, sampler.automaticSchedule),
    // Another sampler does not take over the schedule of the first pass if it has its own timesteps.
    ownTimesteps: same && !first.sigmas ? first.ownTimesteps : runsOnOwnTimesteps(sampler, schedule),
    discardPenultimate: hires.discardPenultimate ?? first.discardPenultimate,
  };
}

/**
 * Size of the second pass, and the size to enlarge to before cropping the centre, which differs if the aspect ratio
 * changes.
 */
export interface HiresTarget {
  readonly width: number;
  readonly height: number;
  readonly coverWidth: number;
  readonly coverHeight: number;
}

/** Computes the size of the second pass as A1111 does, rounded down to multiples of the downsampling factor. */
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
