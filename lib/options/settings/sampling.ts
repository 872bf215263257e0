/** Sampler, schedule and guidance as the sampling loop takes them. */
import type { GenerationDefaults } from '../../checkpoint/config/types.js';
import { defined } from '../../defined.js';
import { resolveSampler, type SamplerInfo } from '../../sampling/samplers/index.js';
import { resolveSchedule, type ScheduleName } from '../../sampling/schedules/index.js';
import type { SamplerOptions } from '../../sampling/types.js';
import { type SamplingOptions, samplingFields } from '../declarations/sampling.js';
import type { CheckedOf } from '../field.js';
import { validate } from '../validate.js';

export interface DeepCacheSettings {
  readonly interval: number;
  readonly branch: number;
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

/** Checked options of sampling. */
export type CheckedSampling = CheckedOf<typeof samplingFields>;

/** @throws INVALID_OPTION naming the option */
export function resolveSamplingOptions(
  options: SamplingOptions,
  defaults: GenerationDefaults,
): SamplingSettings {
  return samplingSettings(validate(samplingFields, options, { defaults: { ...defaults } }), defaults);
}

/** @throws INVALID_OPTION for a sampler or schedule that there is not */
export function samplingSettings(checked: CheckedSampling, defaults: GenerationDefaults): SamplingSettings {
  const { steps, cfg, eta, sChurn, sTmin, sTmax, sNoise, sigmaMin, sigmaMax, rho } = checked;
  const { sampler, schedule: own } = resolveSampler(checked.sampler);
  const schedule = checked.schedule ?? own ?? defaults.schedule ?? 'karras';
  return {
    ...{ steps, cfg, sampler, schedule: resolveSchedule(schedule, sampler.automaticSchedule) },
    // What is left out is the sampler's to choose.
    sampling: defined({ eta, sChurn, sTmin, sTmax, sNoise }),
    discardPenultimate: checked.discardPenultimate,
    range: { sigmaMin, sigmaMax, rho },
    guidanceRescale: checked.guidanceRescale,
    guidanceInterval: checked.guidanceInterval,
    deepCache: checked.deepCache,
  };
}
