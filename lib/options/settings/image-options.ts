/** Options that determine an image, under one spelling: what is written into it. */

import { defined } from '../../defined.js';
import type { GenerationOptions, generationFields } from '../declarations/generation.js';
import { maskFields } from '../declarations/mask.js';
import { sourceFields } from '../declarations/source.js';
import type { CheckedOf } from '../field.js';
import type { ConditionSettings } from './condition.js';
import type { HiresSettings } from './hires.js';
import type { SamplingSettings } from './sampling.js';

interface Resolved {
  readonly condition: ConditionSettings;
  readonly sampling: SamplingSettings;
  readonly hires: HiresSettings | undefined;
}

/**
 * Without images, without what depends on the other images of a call (`count`, `batch`), and without options that have no effect beside
 * the others. Defaults are in it.
 */
export function imageOptions(
  checked: CheckedOf<typeof generationFields>,
  { condition, sampling, hires }: Resolved,
): GenerationOptions {
  const left: (keyof GenerationOptions)[] = [
    'init',
    'mask',
    'count',
    'batch',
    'noise',
    'latent',
    'embeddings',
  ];
  if (checked.init === undefined) left.push(...namesOf(sourceFields).filter((name) => !used(checked, name)));
  if (sampling.sigmas) left.push('steps');
  if (checked.mask === undefined) left.push(...namesOf(maskFields));
  if (!checked.onlyMasked) left.push('padding');
  if (checked.subseedStrength === 0) left.push('subseed');
  const options = {
    ...checked,
    ...condition,
    cfg: sampling.cfg,
    ...samplerNames(sampling),
    hires: hires && hiresOptions(checked.hires, hires, sampling),
  };
  for (const name of left) delete (options as Partial<typeof options>)[name];
  return defined(options);
}

/** A latent to begin from has a strength as an image has. */
function used({ latent }: CheckedOf<typeof generationFields>, name: keyof GenerationOptions): boolean {
  return latent !== undefined && (name === 'strength' || name === 'initialNoiseMultiplier');
}

function namesOf<F extends object>(fields: F): (keyof F)[] {
  return Object.keys(fields) as (keyof F)[];
}

/** Names of sampler and schedule: none of a schedule where the noise levels are given or the sampler's, none of a function. */
function samplerNames({ sampler, schedule, sigmas }: SamplingSettings) {
  return { sampler: sampler.name, schedule: sampler.ownsSchedule || sigmas ? undefined : schedule };
}

/** What differs from the first pass; a size leaves the scale without effect. */
function hiresOptions(
  checked: CheckedOf<typeof generationFields>['hires'],
  { sampling, scale, width, height }: HiresSettings,
  first: SamplingSettings,
): GenerationOptions['hires'] {
  const [own, before] = [samplerNames(sampling), samplerNames(first)];
  const differs = sampling.discardPenultimate !== first.discardPenultimate;
  return defined({
    ...checked,
    scale: (width ?? height) === undefined ? scale : undefined,
    sampler: own.sampler === before.sampler ? undefined : own.sampler,
    schedule: own.schedule === before.schedule ? undefined : own.schedule,
    discardPenultimate: differs ? sampling.discardPenultimate : undefined,
  });
}
