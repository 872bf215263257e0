/** Samplers and schedules under A1111's names. */
import { defined } from '../../defined.js';
import { SafelightError } from '../../errors.js';
import { resolveSampler, type SamplerInfo, samplers } from '../../sampling/samplers/index.js';
import { isAutomatic, resolveSchedule } from '../../sampling/schedules/index.js';
import { failure } from './failures.js';

/**
 * Returns the sampler of a name, and the schedule that the name contains, if any.
 * @throws 400 "Sampler not found", like A1111
 */
export function samplerNamed(
  field: string,
  name: string,
): { sampler: SamplerInfo; schedule: string | undefined } {
  try {
    return resolveSampler(name);
  } catch (error) {
    if (!(error instanceof SafelightError)) throw error;
    throw failure(
      400,
      `Sampler not found: ${field} is ${JSON.stringify(name.slice(0, 100))}; /sdapi/v1/samplers lists them`,
    );
  }
}

/**
 * Returns the name of a schedule; "Automatic" for samplers that run on their own timesteps.
 * @param ignores true if the sampler runs on its own timesteps whatever the name; default as in A1111
 * @throws 422 for an unknown schedule
 */
export function scheduleNamed(
  field: string,
  name: string,
  sampler: SamplerInfo,
  ignores = sampler.a1111IgnoresSchedule,
): string {
  try {
    const schedule = resolveSchedule(name, sampler.automaticSchedule);
    const own = sampler.ownsSchedule && (isAutomatic(name) || ignores);
    return own ? 'automatic' : schedule;
  } catch (error) {
    if (!(error instanceof SafelightError)) throw error;
    throw failure(
      422,
      `Scheduler not found: ${field} is ${JSON.stringify(name.slice(0, 100))}; /sdapi/v1/schedulers lists them`,
    );
  }
}

/** Returns the samplers in A1111's format, in which options are text. */
export function samplerList() {
  return samplers.map((sampler) => ({
    name: sampler.label,
    aliases: [
      ...new Set([`k_${sampler.name}`, sampler.name, ...sampler.aliases.map((alias) => `k_${alias}`)]),
    ],
    options: defined({
      scheduler: sampler.automaticSchedule === 'discrete' ? undefined : sampler.automaticSchedule,
      uses_ensd: ifTrue(sampler.ancestral),
      discard_next_to_last_sigma: ifTrue(sampler.discardsPenultimate),
      brownian_noise: ifTrue(sampler.usesBrownian),
      second_order: ifTrue(sampler.callsPerStep === 2),
    }),
  }));
}

function ifTrue(value: boolean | undefined): 'True' | undefined {
  return value ? 'True' : undefined;
}

interface Scheduler {
  readonly name: string;
  readonly label: string;
  readonly aliases: readonly string[] | null;
  readonly default_rho: number;
  readonly need_inner_model: boolean;
}

/**
 * Returns A1111's list of schedules; a `default_rho` of -1 means none. Uniform and Normal have the same noise
 * levels.
 */
export function schedulerList(): Scheduler[] {
  const entry = (name: string, label: string, more: Partial<Scheduler> = {}): Scheduler => ({
    ...{ name, label, aliases: null, default_rho: -1, need_inner_model: false },
    ...more,
  });
  const needs = { need_inner_model: true };
  return [
    entry('automatic', 'Automatic'),
    entry('uniform', 'Uniform', needs),
    entry('karras', 'Karras', { default_rho: 7 }),
    entry('exponential', 'Exponential'),
    entry('polyexponential', 'Polyexponential', { default_rho: 1 }),
    entry('sgm_uniform', 'SGM Uniform', { ...needs, aliases: ['SGMUniform'] }),
    entry('kl_optimal', 'KL Optimal'),
    entry('align_your_steps', 'Align Your Steps'),
    entry('simple', 'Simple', needs),
    entry('normal', 'Normal', needs),
    entry('ddim', 'DDIM', needs),
    entry('beta', 'Beta', needs),
  ];
}
