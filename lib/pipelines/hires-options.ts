/** Options of the second, larger pass (A1111's "Hires. fix"). */
import { invalidOption } from '../errors.js';
import { resolveSampler, type SamplerName } from '../sampling/samplers/index.js';
import { resolveSchedule, type ScheduleName } from '../sampling/schedules/index.js';
import type { Interpolation } from '../tensor/interpolate.js';
import * as check from './check.js';
import { promptText } from './condition-options.js';
import { MAX_SIDE, MAX_STEPS } from './limits.js';
import type { SamplingSettings, Spelled } from './sampling-options.js';

export interface HiresOptions {
  /** How many times larger, 1 to 8; default 2. Sizes are rounded down to the grid. */
  readonly scale?: number;
  /** The size itself, instead of `scale`: multiples of the autoencoder's factor. */
  readonly width?: number;
  readonly height?: number;
  /** Steps that the second pass runs; default those of the first. */
  readonly steps?: number;
  /** How far the second pass goes from the first picture, above 0 to 1; default 0.75. */
  readonly strength?: number;
  /** `latent` (default) and its kin enlarge the latent, `lanczos` and `nearest` the decoded picture. */
  readonly upscaler?: HiresUpscaler;
  /** What to draw, and what not, in the second pass; default as in the first. */
  readonly prompt?: string;
  readonly negative?: string;
  /** Sampler and noise levels of the second pass; default those of the first. */
  readonly sampler?: Spelled<SamplerName>;
  readonly schedule?: Spelled<ScheduleName | 'automatic'>;
  /** As in the first pass, unless given. */
  readonly discardPenultimate?: boolean;
}

/** Latent upscalers by A1111's names for them, and the interpolation that they are. */
export const latentUpscalers = {
  latent: 'bilinear',
  latent_antialiased: 'bilinear',
  latent_bicubic: 'bicubic',
  latent_bicubic_antialiased: 'bicubic-antialiased',
  latent_nearest: 'nearest',
  latent_nearest_exact: 'nearest-exact',
} as const satisfies Record<string, Interpolation>;

export type HiresUpscaler = keyof typeof latentUpscalers | 'lanczos' | 'nearest';
export const hiresUpscalers: readonly HiresUpscaler[] = [
  ...(Object.keys(latentUpscalers) as (keyof typeof latentUpscalers)[]),
  'lanczos',
  'nearest',
];

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

const KEYS: ReadonlySet<string> = new Set([
  ...['scale', 'width', 'height', 'steps', 'strength', 'upscaler', 'prompt', 'negative'],
  ...['sampler', 'schedule', 'discardPenultimate'],
]);

export function resolveHires(
  options: { readonly hires?: HiresOptions; readonly init?: unknown },
  factor: number,
  sampling: SamplingSettings,
): HiresSettings | undefined {
  const { hires, init } = options;
  if (hires === undefined) return undefined;
  if (init !== undefined)
    throw invalidOption('hires', 'no init beside it (it is a second pass of text to image)', hires);
  check.knownKeys('hires', hires, KEYS);
  const side = (name: 'width' | 'height'): number | undefined =>
    hires[name] === undefined ? undefined : check.multiple(`hires.${name}`, hires[name], factor, MAX_SIDE);
  const strength = check.number('hires.strength', hires.strength ?? 0.75, 0, 1);
  if (strength === 0) throw invalidOption('hires.strength', 'number above 0', strength);
  return {
    scale: check.number('hires.scale', hires.scale ?? 2, 1, 8),
    width: side('width'),
    height: side('height'),
    steps: hires.steps === undefined ? undefined : check.integer('hires.steps', hires.steps, 1, MAX_STEPS),
    strength,
    prompt: hires.prompt === undefined ? undefined : promptText('hires.prompt', hires.prompt),
    negative: hires.negative === undefined ? undefined : promptText('hires.negative', hires.negative),
    sampling: secondSampling(hires, sampling),
    upscaler: check.oneOf('hires.upscaler', hires.upscaler ?? 'latent', hiresUpscalers),
  };
}

/** The first pass's, but for what the second has of its own. */
function secondSampling(hires: HiresOptions, first: SamplingSettings): SamplingSettings {
  const named =
    hires.sampler === undefined ? undefined : resolveSampler(check.string('hires.sampler', hires.sampler));
  const sampler = named?.sampler ?? first.sampler;
  const schedule =
    hires.schedule === undefined ? named?.schedule : check.string('hires.schedule', hires.schedule);
  return {
    ...first,
    sampler,
    schedule: schedule === undefined ? first.schedule : resolveSchedule(schedule, sampler.automaticSchedule),
    discardPenultimate: check.boolean(
      'hires.discardPenultimate',
      hires.discardPenultimate ?? first.discardPenultimate,
    ),
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
  factor: number,
): HiresTarget {
  const onGrid = (size: number): number => Math.max(factor, Math.floor(size / factor) * factor);
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
