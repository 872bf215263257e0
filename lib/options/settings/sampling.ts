/** Sampler, schedule and guidance as the sampling loop takes them. */
import type { GenerationDefaults } from '../../checkpoint/config/types.js';
import { defined } from '../../defined.js';
import { invalidOption } from '../../errors.js';
import {
  customSampler,
  type RunnableSampler,
  resolveSampler,
  type SamplerFunction,
} from '../../sampling/samplers/index.js';
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
  readonly sampler: RunnableSampler;
  readonly schedule: ScheduleName;
  /** Noise levels in the place of the schedule's, descending, 0 at their end. */
  readonly sigmas: readonly number[] | undefined;
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

/** Options of sampling as the API takes them: what is a function is not declared, for it cannot be written down. */
export interface ApiSamplingOptions extends Omit<SamplingOptions, 'sampler'> {
  /**
   * The sampler, by Safelight's or A1111's name, or a function of one's own (see docs/research.md); default the model's, else `dpmpp_2m`.
   */
  readonly sampler?: NonNullable<SamplingOptions['sampler']> | SamplerFunction;
}

/** @throws INVALID_OPTION naming the option */
export function resolveSamplingOptions(
  options: ApiSamplingOptions,
  defaults: GenerationDefaults,
): SamplingSettings {
  const named = { ...options, sampler: nameOf(options.sampler) };
  return samplingSettings(validate(samplingFields, named, { defaults: { ...defaults } }), defaults, options);
}

/** The sampler's name; undefined for a function. */
export function nameOf<T>(sampler: T | SamplerFunction): T | undefined {
  return typeof sampler === 'function' ? undefined : (sampler as T);
}

/**
 * @param given the options before their check, without defaults
 * @throws INVALID_OPTION for a sampler or schedule that there is not, and for sigmas beside what they stand in place of
 */
export function samplingSettings(
  checked: CheckedSampling,
  defaults: GenerationDefaults,
  given: ApiSamplingOptions,
): SamplingSettings {
  const { cfg, eta, sChurn, sTmin, sTmax, sNoise, sigmaMin, sigmaMax, rho } = checked;
  const { sampler, schedule: own } =
    typeof given.sampler === 'function'
      ? { sampler: customSampler(given.sampler), schedule: undefined }
      : resolveSampler(checked.sampler);
  const sigmas = ownSigmas(checked, given);
  const schedule = checked.schedule ?? (sigmas ? undefined : own) ?? defaults.schedule ?? 'karras';
  return {
    steps: sigmas ? sigmas.length - 1 : checked.steps,
    ...{ cfg, sampler, schedule: resolveSchedule(schedule, sampler.automaticSchedule), sigmas },
    // What is left out is the sampler's to choose.
    sampling: defined({ eta, sChurn, sTmin, sTmax, sNoise }),
    discardPenultimate: checked.discardPenultimate,
    range: { sigmaMin, sigmaMax, rho },
    guidanceRescale: checked.guidanceRescale,
    guidanceInterval: checked.guidanceInterval,
    deepCache: checked.deepCache,
  };
}

/** Options that say how to make noise levels, of which `sigmas` are the result. */
export const replacedBySigmas = [
  'steps',
  'schedule',
  'discardPenultimate',
  'sigmaMin',
  'sigmaMax',
  'rho',
] as const;

/** The sigmas that were given, with the 0 at their end. */
function ownSigmas(
  { sigmas, discardPenultimate }: CheckedSampling,
  given: ApiSamplingOptions,
): readonly number[] | undefined {
  if (sigmas === undefined) return undefined;
  for (const name of replacedBySigmas) {
    const value = given[name];
    if ((value ?? undefined) === undefined || (name === 'discardPenultimate' && !discardPenultimate))
      continue;
    throw invalidOption(
      name,
      'nothing beside sigmas (they are the noise levels, one more than the steps)',
      value,
    );
  }
  const scheduled = typeof given.sampler === 'string' ? resolveSampler(given.sampler).schedule : undefined;
  if (scheduled !== undefined)
    throw invalidOption('sampler', 'one without a schedule in its name beside sigmas', given.sampler);
  return sigmas.at(-1) === 0 ? sigmas : [...sigmas, 0];
}
