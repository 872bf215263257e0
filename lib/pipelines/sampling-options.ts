/** Options of the denoising itself: sampler, schedule, guidance. */
import type { GenerationDefaults } from '../checkpoint/config/types.js';
import { resolveSampler, type SamplerInfo, type SamplerName } from '../sampling/samplers/index.js';
import { resolveSchedule, type ScheduleName } from '../sampling/schedules/index.js';
import type { SamplerOptions } from '../sampling/types.js';
import * as check from './check.js';
import { type DeepCacheOptions, type DeepCacheSettings, resolveDeepCache } from './deep-cache-options.js';
import { MAX_STEPS } from './limits.js';

/** One of the names, offered by editors; other spellings (A1111's labels) are read too. */
export type Spelled<Name extends string> = Name | (string & Record<never, never>);

export interface SamplingOptions {
  /** 1 to 1000; default the model's, else 20. */
  readonly steps?: number;
  /** Classifier-free guidance scale, 0 to 100; 1 is none and half the work. Default the model's, else 7. */
  readonly cfg?: number;
  /** By Safelight's or A1111's name; default the model's, else `dpmpp_2m`. */
  readonly sampler?: Spelled<SamplerName>;
  /**
   * By Safelight's or A1111's name; default the sampler name's own ("DPM++ 2M Karras"), the model's, else `karras`. `Automatic` is the one
   * that A1111 runs the sampler with.
   */
  readonly schedule?: Spelled<ScheduleName | 'automatic'>;
  /** Noise of ancestral and SDE samplers (default 1), of DDIM (0), TCD (0.3); 0 to 10. */
  readonly eta?: number;
  /** Karras' stochasticity for euler, heun and dpm2: default none. */
  readonly sChurn?: number;
  readonly sTmin?: number;
  readonly sTmax?: number;
  /** Multiplies the noise that samplers add, 0 to 10; default 1. */
  readonly sNoise?: number;
  /** Leaves out the last sigma before the end, as A1111 can; default false. */
  readonly discardPenultimate?: boolean;
  /** Range and bend of the schedules that are formulas; default the model's range, and each schedule's rho. */
  readonly sigmaMin?: number;
  readonly sigmaMax?: number;
  readonly rho?: number;
  /** How much of the conditional prediction's contrast is restored after guidance (Lin et al. 2023), 0 (default) to 1. */
  readonly guidanceRescale?: number;
  /** Sigmas between which there is guidance, `[low, high]`; default everywhere. */
  readonly guidanceInterval?: readonly [number, number];
  /** Step caching: most evaluations run only the shallow part of the U-Net (faster, a little different). Default: none. */
  readonly deepCache?: DeepCacheOptions;
}

export interface SamplingSettings {
  readonly steps: number;
  readonly cfg: number;
  readonly sampler: SamplerInfo;
  readonly schedule: ScheduleName;
  readonly sampling: SamplerOptions;
  readonly discardPenultimate: boolean;
  readonly range: {
    readonly sigmaMin: number | undefined;
    readonly sigmaMax: number | undefined;
    readonly rho: number | undefined;
  };
  readonly guidanceRescale: number;
  readonly guidanceInterval: readonly [number, number] | undefined;
  readonly deepCache: DeepCacheSettings | undefined;
}

export const samplingKeys = [
  ...[
    'steps',
    'cfg',
    'sampler',
    'schedule',
    'eta',
    'sChurn',
    'sTmin',
    'sTmax',
    'sNoise',
    'discardPenultimate',
  ],
  ...['sigmaMin', 'sigmaMax', 'rho', 'guidanceRescale', 'guidanceInterval', 'deepCache'],
];

/** @throws INVALID_OPTION naming the option */
export function resolveSamplingOptions(
  options: SamplingOptions,
  defaults: GenerationDefaults,
): SamplingSettings {
  const { guidanceInterval } = options;
  const { sampler, schedule: own } = resolveSampler(
    check.string('sampler', options.sampler ?? defaults.sampler ?? 'dpmpp_2m'),
  );
  const schedule = check.string('schedule', options.schedule ?? own ?? defaults.schedule ?? 'karras');
  return {
    steps: check.integer('steps', options.steps ?? defaults.steps ?? 20, 1, MAX_STEPS),
    cfg: check.number('cfg', options.cfg ?? defaults.cfg ?? 7, 0, 100),
    sampler,
    schedule: resolveSchedule(schedule, sampler.automaticSchedule),
    sampling: samplerOptions(options),
    discardPenultimate: check.boolean('discardPenultimate', options.discardPenultimate ?? false),
    range: {
      sigmaMin: optional('sigmaMin', options.sigmaMin, 1e-6, 1e6),
      sigmaMax: optional('sigmaMax', options.sigmaMax, 1e-6, 1e6),
      rho: optional('rho', options.rho, 1e-3, 1e3),
    },
    guidanceRescale: check.number('guidanceRescale', options.guidanceRescale ?? 0, 0, 1),
    guidanceInterval:
      guidanceInterval === undefined
        ? undefined
        : check.interval('guidanceInterval', guidanceInterval, 0, Number.POSITIVE_INFINITY),
    deepCache: resolveDeepCache(options.deepCache),
  };
}

const BOUNDS = {
  eta: 10,
  sChurn: 1e6,
  sTmin: Number.POSITIVE_INFINITY,
  sTmax: Number.POSITIVE_INFINITY,
  sNoise: 10,
} as const satisfies Record<keyof SamplerOptions, number>;

/** Only what was given: what is left out is the sampler's to choose. */
function samplerOptions(options: SamplingOptions): SamplerOptions {
  const given: { -readonly [K in keyof SamplerOptions]: number } = {};
  for (const name of Object.keys(BOUNDS) as (keyof typeof BOUNDS)[]) {
    const value = options[name];
    if (value !== undefined) given[name] = check.number(name, value, 0, BOUNDS[name]);
  }
  return given;
}

function optional(name: string, value: unknown, min: number, max: number): number | undefined {
  return value === undefined ? undefined : check.number(name, value, min, max);
}
