/** Resolves the options of sampling to the settings of the denoising loop. */
import type { GenerationDefaults } from '../../checkpoint/config/types.js';
import { defined } from '../../defined.js';
import { invalidOption } from '../../errors.js';
import type { ProjectionSettings } from '../../sampling/adaptive-projection.js';
import type { NetworkChanges } from '../../sampling/network.js';
import {
  customSampler,
  type RunnableSampler,
  resolveSampler,
  type SamplerFunction,
} from '../../sampling/samplers/index.js';
import { isAutomatic, resolveSchedule, type ScheduleName } from '../../sampling/schedules/index.js';
import type { SamplerOptions } from '../../sampling/types.js';
import { type SamplingOptions, samplingFields } from '../declarations/sampling.js';
import type { CheckedOf } from '../field.js';
import { validate } from '../validate.js';
import { type StepCacheSettings, stepCacheSettings } from './step-cache.js';

/** Sampler, schedule and guidance of a generation. */
export interface SamplingSettings {
  readonly steps: number;
  readonly cfg: number;
  readonly sampler: RunnableSampler;
  readonly schedule: ScheduleName;
  /** True if the sampler runs on its own timesteps, because no schedule was requested. */
  readonly ownTimesteps: boolean;
  /** Custom noise levels instead of the schedule's, descending, with a final 0. */
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
  readonly apg: ProjectionSettings | undefined;
  /** Scale of perturbed-attention guidance; 0 for none. */
  readonly pag: number;
  /** Scale of self-attention guidance; 0 for none. */
  readonly sag: number;
  readonly changes: NetworkChanges;
  readonly stepCache: StepCacheSettings | undefined;
}

/** Validated options of sampling. */
export type CheckedSampling = CheckedOf<typeof samplingFields>;

/** Options of sampling in the API, where the sampler may also be a function (which jobs and images cannot store). */
export interface ApiSamplingOptions extends Omit<SamplingOptions, 'sampler'> {
  /**
   * Sampler, by Safelight's or A1111's name, or a custom function (see docs/research.md); default the model's, else
   * `dpmpp_2m`.
   */
  readonly sampler?: NonNullable<SamplingOptions['sampler']> | SamplerFunction;
}

/** Validates and resolves the options of sampling. @throws INVALID_OPTION naming the option */
export function resolveSamplingOptions(
  options: ApiSamplingOptions,
  defaults: GenerationDefaults,
): SamplingSettings {
  const named = { ...options, sampler: nameOf(options.sampler) };
  return samplingSettings(validate(samplingFields, named, { defaults: { ...defaults } }), defaults, options);
}

/** Returns the sampler's name; undefined for a function. */
export function nameOf<T>(sampler: T | SamplerFunction): T | undefined {
  return typeof sampler === 'function' ? undefined : (sampler as T);
}

/**
 * Resolves validated options of sampling.
 * @param given the options before validation, without defaults
 * @throws INVALID_OPTION for an unknown sampler or schedule, and for `sigmas` together with an option that they replace
 */
export function samplingSettings(
  checked: CheckedSampling,
  defaults: GenerationDefaults,
  given: ApiSamplingOptions,
): SamplingSettings {
  const { cfg, eta, sChurn, sTmin, sTmax, sNoise, sigmaMin, sigmaMax, rho } = checked;
  const { sampler, schedule: impliedSchedule } =
    typeof given.sampler === 'function'
      ? { sampler: customSampler(given.sampler), schedule: undefined }
      : resolveSampler(checked.sampler);
  const sigmas = customSigmas(checked, given);
  const stepCache = stepCacheSettings(checked);
  if (checked.sag && stepCache)
    throw invalidOption(
      'sag',
      'undefined together with step caching (which skips the attention that it reads)',
      checked.sag,
    );
  const requested = checked.schedule ?? (sigmas ? undefined : impliedSchedule);
  // A sampler that the caller names runs on its own timesteps, if it has any, rather than on the model's schedule.
  const isDefault = (given.sampler ?? undefined) === undefined;
  const preferred = requested ?? (isDefault || !sampler.ownsSchedule ? defaults.schedule : undefined);
  const schedule = resolveSchedule(preferred ?? defaults.schedule ?? 'karras', sampler.automaticSchedule);
  return {
    steps: sigmas ? sigmas.length - 1 : checked.steps,
    ...{ cfg, sampler, schedule, sigmas },
    ownTimesteps: !sigmas && runsOnOwnTimesteps(sampler, preferred),
    // Missing values get the sampler's own defaults.
    sampling: defined({ eta: eta ?? (isDefault ? defaults.eta : undefined), sChurn, sTmin, sTmax, sNoise }),
    discardPenultimate: checked.discardPenultimate,
    range: { sigmaMin, sigmaMax, rho },
    guidanceRescale: checked.guidanceRescale,
    guidanceInterval: checked.guidanceInterval,
    ...{ apg: checked.apg, pag: checked.pag ?? 0, sag: checked.sag ?? 0 },
    changes: networkChanges(checked),
    stepCache,
  };
}

function networkChanges({ freeU, tokenMerging, tiling }: CheckedSampling): NetworkChanges {
  const [b1, b2, s1, s2] = freeU ?? [1, 1, 1, 1];
  return defined({
    freeU: freeU && { b1, b2, s1, s2 },
    tokenMerging: tokenMerging || undefined,
    seamless: tiling || undefined,
  });
}

/** Returns the largest batch whose images are the same as alone: 1 if decisions depend on all images of a batch. */
export function largestBatch({
  sampler,
  stepCache,
}: Pick<SamplingSettings, 'sampler' | 'stepCache'>): number {
  return stepCache?.method === 'first-block' ? 1 : sampler.maxBatch;
}

/** Returns true for a sampler with its own timesteps, unless a schedule other than "Automatic" is requested. */
export function runsOnOwnTimesteps(
  { ownsSchedule }: Pick<RunnableSampler, 'ownsSchedule'>,
  requested: string | undefined,
): boolean {
  return ownsSchedule && (requested === undefined || isAutomatic(requested));
}

/** Options that determine the noise levels and therefore cannot be combined with `sigmas`. */
export const replacedBySigmas = [
  'steps',
  'schedule',
  'discardPenultimate',
  'sigmaMin',
  'sigmaMax',
  'rho',
] as const;

/** Returns the option `sigmas` with a final 0, or undefined. */
function customSigmas(
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
      'undefined together with sigmas (which define the noise levels and the number of steps)',
      value,
    );
  }
  const scheduled = typeof given.sampler === 'string' ? resolveSampler(given.sampler).schedule : undefined;
  if (scheduled !== undefined)
    throw invalidOption('sampler', 'a name without a schedule (because sigmas are given)', given.sampler);
  return sigmas.at(-1) === 0 ? sigmas : [...sigmas, 0];
}
