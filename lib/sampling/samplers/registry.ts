/** Registry of samplers. */
import { invalidOption } from '../../errors.js';
import { isFlow, type NoiseSchedule } from '../noise-schedule.js';
import type { Sampler, SamplerOptions } from '../types.js';
import { ENTRIES, type Entry } from './entries.js';
import type { SampledModel, SamplerFacts } from './facts.js';

export type { FlowForm, SampledModel } from './facts.js';

export type SamplerName = keyof typeof ENTRIES;

export interface SamplerInfo extends SamplerFacts {
  readonly name: SamplerName;
}

/** A sampler that a pipeline can run: one of the registry, or a custom function, which has no name. */
export interface RunnableSampler extends SamplerFacts {
  readonly name: SamplerName | undefined;
}

export const samplerNames = Object.keys(ENTRIES) as SamplerName[];

/** All samplers, in the order of `ENTRIES`. */
export const samplers: readonly SamplerInfo[] = samplerNames.map((name) => {
  const entry: Entry = ENTRIES[name];
  const create = 'sampler' in entry ? () => entry.sampler : entry.create;
  const info: SamplerInfo = {
    aliases: [],
    callsPerStep: 1,
    ancestral: false,
    usesBrownian: false,
    defaultEta: undefined,
    a1111Eta: undefined,
    a1111IgnoresSchedule: false,
    churns: false,
    initialNoise: 'sigma',
    discardsPenultimate: false,
    maxBatch: Number.POSITIVE_INFINITY,
    automaticSchedule: 'discrete',
    ...entry,
    name,
    create: (model) => (isFlow(model.schedule) ? onFlow(info, model, create) : create(model)),
    ownsSchedule: entry.ownSigmas !== undefined,
  };
  return info;
});

/**
 * Checks that a sampler and its options support flow matching, if the model uses it.
 * @throws INVALID_OPTION for a sampler without a flow form, and for churn
 */
export function checkSampler(
  sampler: RunnableSampler,
  schedule: NoiseSchedule,
  { sChurn = 0 }: SamplerOptions = {},
): void {
  if (!isFlow(schedule)) return;
  if (sampler.flow === 'none') {
    const others = samplers.filter(({ flow }) => flow !== 'none').map(({ name }) => name);
    throw invalidOption('sampler', `one of ${others.join(', ')} (for a flow-matching model)`, sampler.name);
  }
  if (sChurn !== 0) {
    throw invalidOption(
      'sChurn',
      '0 (for a flow-matching model)',
      sChurn,
      'use euler_a or dpmpp_2m_sde to add noise',
    );
  }
}

/** Wraps a sampler for flow matching: options and sigmas are checked when it starts. */
function onFlow(info: SamplerInfo, model: SampledModel, create: SamplerInfo['create']): Sampler {
  checkSampler(info, model.schedule);
  const sampler = create(model);
  return (denoise, latent, sigmas, noise, options) => {
    checkSampler(info, model.schedule, options);
    const outside = sigmas.find((sigma) => !(sigma >= 0 && sigma <= 1));
    if (outside !== undefined) {
      throw invalidOption('sigmas', 'numbers between 0 and 1 (for a flow-matching model)', outside);
    }
    return sampler(denoise, latent, sigmas, noise, options);
  };
}

/** Returns the factor of the initial noise of text to image for a sampler that starts at `sigma`. */
export function initialNoiseScale(
  { initialNoise }: Pick<SamplerFacts, 'initialNoise'>,
  sigma: number,
  schedule?: NoiseSchedule,
): number {
  return initialNoise === 'vp' && !(schedule && isFlow(schedule)) ? Math.sqrt(1 + sigma * sigma) : sigma;
}

/**
 * Removes the last sigma above 0, which turns n + 1 steps into n (A1111's "Discard penultimate sigma", which computes
 * the schedule with one more step).
 */
export function discardPenultimate(sigmas: readonly number[]): number[] {
  return sigmas.length < 3 ? [...sigmas] : [...sigmas.slice(0, -2), sigmas[sigmas.length - 1]!];
}
