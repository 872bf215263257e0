/** Reads training settings from the YAML of CompVis' `DDPM` and `LatentDiffusion` (`model.params`). */
import type { SchedulerConfig } from '../types.js';
import { unsupported } from '../validate.js';
import type { ModelConfig } from './model-config.js';

const PARAMETERIZATIONS = { eps: 'eps', x0: 'x0', v: 'v' } as const;
/** Names of `make_beta_schedule`, whose "linear" is linear in the square root. */
const SCHEDULES = { linear: 'scaled_linear', sqrt_linear: 'linear', cosine: 'squaredcos_cap_v2' } as const;

/**
 * Reads betas and prediction type; defaults are those of the reference's constructor.
 * @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for other kinds of diffusion
 */
export function readLdmScheduler(params: ModelConfig): SchedulerConfig {
  const parameterization = params.getString('parameterization', 'eps');
  const prediction = named(PARAMETERIZATIONS, parameterization);
  if (prediction === null) throw unsupported(params.where, 'parameterization', parameterization);
  const name = params.getString('beta_schedule', 'linear');
  const schedule = named(SCHEDULES, name);
  const shift = params.getNumber('cosine_s', 0.008);
  if (schedule === null || params.has('given_betas') || (schedule === 'squaredcos_cap_v2' && shift !== 0.008))
    throw unsupported(params.where, 'beta_schedule', schedule === null ? name : 'a custom schedule');
  const beta = { min: 1e-8, max: 0.9999 };
  const config: SchedulerConfig = {
    prediction,
    beta_schedule: schedule,
    beta_start: params.getNumber('linear_start', 1e-4, beta),
    beta_end: params.getNumber('linear_end', 2e-2, beta),
    num_train_timesteps: params.getInt('timesteps', 1000, { min: 2, max: 100_000 }),
    rescale_zero_snr: false,
  };
  if (config.beta_end < config.beta_start)
    throw unsupported(params.where, 'linear_end', config.beta_end, 'expected at least linear_start');
  return config;
}

function named<T extends string>(table: Readonly<Record<string, T>>, name: string): T | null {
  return Object.hasOwn(table, name) ? table[name]! : null;
}
