/** The options that determine an image, normalized for storing them in the image file. */

import { defined } from '../../defined.js';
import type { GenerationOptions, generationFields } from '../declarations/generation.js';
import { maskFields } from '../declarations/mask.js';
import { sourceFields } from '../declarations/source.js';
import type { CheckedOf } from '../field.js';
import type { ConditionSettings } from './condition.js';
import { type HiresSettings, upscalerName } from './hires.js';
import type { SamplingSettings } from './sampling.js';

interface Resolved {
  readonly condition: ConditionSettings;
  readonly sampling: SamplingSettings;
  readonly hires: HiresSettings | undefined;
}

/**
 * Returns the options that determine an image, including defaults. Omits images and tensors, options that depend on
 * the other images of the call (`count`, `batch`), and options without effect.
 */
export function imageOptions(
  checked: CheckedOf<typeof generationFields>,
  { condition, sampling, hires }: Resolved,
): GenerationOptions {
  const omitted: (keyof GenerationOptions)[] = [
    'init',
    'mask',
    'count',
    'batch',
    'noise',
    'latent',
    'embeddings',
    // The prompts contain their results.
    ...(['styles', 'dynamicPrompts', 'missingAdapters', 'loras', 'regions'] as const),
  ];
  if (checked.init === undefined)
    omitted.push(...namesOf(sourceFields).filter((name) => !appliesToLatent(checked, name)));
  if (sampling.sigmas) omitted.push('steps');
  if (checked.mask === undefined) omitted.push(...namesOf(maskFields));
  if (!checked.onlyMasked) omitted.push('padding');
  if (checked.subseedStrength === 0) omitted.push('subseed');
  const options = {
    ...checked,
    ...condition,
    cfg: sampling.cfg,
    eta: sampling.sampling.eta,
    ...samplerNames(sampling),
    ...stepCacheOptions(checked, sampling),
    hires: hires && hiresOptions(checked.hires, hires, sampling),
  };
  for (const name of omitted) delete (options as Partial<typeof options>)[name];
  return defined(options);
}

/** True for source options that also apply to an initial latent. */
function appliesToLatent(
  { latent }: CheckedOf<typeof generationFields>,
  name: keyof GenerationOptions,
): boolean {
  return latent !== undefined && (name === 'strength' || name === 'initialNoiseMultiplier');
}

function namesOf<F extends object>(fields: F): (keyof F)[] {
  return Object.keys(fields) as (keyof F)[];
}

/**
 * Names of sampler and schedule; no schedule if sigmas are given or computed by the sampler, no name for a function.
 */
function samplerNames({ sampler, schedule, sigmas, ownTimesteps }: SamplingSettings) {
  return { sampler: sampler.name, schedule: ownTimesteps || sigmas ? undefined : schedule };
}

/** Returns the options that select the same step caching, without those that have no effect. */
function stepCacheOptions(
  { stepCacheStrength, deepCache }: CheckedOf<typeof generationFields>,
  { stepCache }: SamplingSettings,
) {
  if (stepCache?.method === 'deepcache' && deepCache) {
    const { interval, branch } = stepCache;
    return { stepCache: undefined, stepCacheStrength: undefined, deepCache: { interval, branch } };
  }
  const strength = stepCache && stepCacheStrength;
  return { stepCache: stepCache?.method, stepCacheStrength: strength, deepCache: undefined };
}

/** Returns the schedule of the second pass, unless `secondSampling` would choose the same one without it. */
function secondSchedule(second: SamplingSettings, first: SamplingSettings) {
  const [{ sampler, schedule }, before] = [samplerNames(second), samplerNames(first)];
  const sameSampler = sampler === before.sampler;
  if (second.ownTimesteps) return sameSampler && !first.ownTimesteps ? 'automatic' : undefined;
  const inherits = sameSampler || !second.sampler.ownsSchedule;
  return inherits && schedule === before.schedule ? undefined : schedule;
}

/** Options of the second pass that differ from the first; the scale is omitted if a size is given. */
function hiresOptions(
  checked: CheckedOf<typeof generationFields>['hires'],
  { sampling, scale, width, height, upscaler }: HiresSettings,
  first: SamplingSettings,
): GenerationOptions['hires'] {
  const [second, before] = [samplerNames(sampling), samplerNames(first)];
  const differs = sampling.discardPenultimate !== first.discardPenultimate;
  return defined({
    ...checked,
    scale: (width ?? height) === undefined ? scale : undefined,
    upscaler: upscalerName(upscaler),
    sampler: second.sampler === before.sampler ? undefined : second.sampler,
    schedule: secondSchedule(sampling, first),
    discardPenultimate: differs ? sampling.discardPenultimate : undefined,
  });
}
