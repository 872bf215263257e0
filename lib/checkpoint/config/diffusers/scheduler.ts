/**
 * Reads the training settings of a `scheduler_config.json`. Of its sampling settings, only trailing timesteps are used
 * for Stable Diffusion, as the default schedule: options determine the others.
 */

import { z } from 'zod';
import { defined } from '../../../defined.js';
import type { GenerationDefaults, SchedulerConfig } from '../types.js';
import { type ConfigFields, checkConfig, requireFeatures, unsupported } from '../validate.js';

const FEATURES = {
  trained_betas: [],
  use_flow_sigmas: [false],
  beta_schedule: ['scaled_linear', 'linear', 'squaredcos_cap_v2'],
  prediction_type: ['epsilon', 'v_prediction', 'sample'],
} as const;

const schema = z.lazy(() =>
  z.object({
    _class_name: z.string().default('DDIMScheduler'),
    prediction_type: z.enum(['epsilon', 'v_prediction', 'sample']).default('epsilon'),
    beta_schedule: z.enum(['scaled_linear', 'linear', 'squaredcos_cap_v2']).optional(),
    beta_start: z.number().gt(0).lt(1).optional(),
    beta_end: z.number().gt(0).lt(1).optional(),
    num_train_timesteps: z.int().min(2).max(100_000).default(1000),
    rescale_betas_zero_snr: z.boolean().nullish(),
  }),
);

const PREDICTION = { epsilon: 'eps', v_prediction: 'v', sample: 'x0' } as const;

/** Stable Diffusion's training settings. */
export const STABLE_DIFFUSION_SCHEDULER: SchedulerConfig = {
  prediction: 'eps',
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  num_train_timesteps: 1000,
  rescale_zero_snr: false,
};

type Betas = Pick<SchedulerConfig, 'beta_schedule' | 'beta_start' | 'beta_end'>;
const DDPM: Betas = { beta_schedule: 'linear', beta_start: 0.0001, beta_end: 0.02 };
const KARRAS: Betas = { beta_schedule: 'linear', beta_start: 0.00085, beta_end: 0.012 };
const CONSISTENCY: Betas = { beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 };

/** Classes with DDPM's noise process, and the default betas of their constructors (diffusers 0.42). */
const CLASSES: ReadonlyMap<string, Betas> = new Map([
  ['DDIMScheduler', DDPM],
  ['DDIMParallelScheduler', DDPM],
  ['DDIMInverseScheduler', DDPM],
  ['DDPMScheduler', DDPM],
  ['DDPMParallelScheduler', DDPM],
  ['DEISMultistepScheduler', DDPM],
  ['DPMSolverMultistepScheduler', DDPM],
  ['DPMSolverMultistepInverseScheduler', DDPM],
  ['DPMSolverSinglestepScheduler', DDPM],
  ['EulerDiscreteScheduler', DDPM],
  ['EulerAncestralDiscreteScheduler', DDPM],
  ['LMSDiscreteScheduler', DDPM],
  ['PNDMScheduler', DDPM],
  ['SASolverScheduler', DDPM],
  ['UniPCMultistepScheduler', DDPM],
  ['DPMSolverSDEScheduler', KARRAS],
  ['HeunDiscreteScheduler', KARRAS],
  ['KDPM2DiscreteScheduler', KARRAS],
  ['KDPM2AncestralDiscreteScheduler', KARRAS],
  ['LCMScheduler', CONSISTENCY],
  ['TCDScheduler', CONSISTENCY],
]);

const samplingSchema = z.lazy(() =>
  z.object({
    _class_name: z.string().default('DDIMScheduler'),
    clip_sample: z.boolean().nullish(),
    clip_sample_range: z.number().gt(0).max(1e6).default(1),
    steps_offset: z.int().min(0).max(100_000).default(0),
    set_alpha_to_one: z.boolean().nullish(),
  }),
);

/** Classes that bound x0 unless `clip_sample` is false. */
const CLIPS = /^DD[IP]M(Parallel)?Scheduler$/;

/**
 * Reads sampling settings of models with diffusers' own unconditional pipelines: the bound of x0 and the first
 * timestep. Not used for Stable Diffusion's folders, whose sampling is determined by options.
 */
export function readSampling(
  fields: ConfigFields,
  path: string,
): Pick<SchedulerConfig, 'clip_x0' | 'steps_offset' | 'ends_clean'> {
  const parsed = checkConfig(samplingSchema, fields, path);
  const clips = CLIPS.test(parsed._class_name) && (parsed.clip_sample ?? true);
  // PNDM ends without noise only if `set_alpha_to_one` is set, DDPM always.
  const clean = parsed._class_name.startsWith('PNDM')
    ? (parsed.set_alpha_to_one ?? false)
    : parsed._class_name.startsWith('DDPM') || (parsed.set_alpha_to_one ?? true);
  return {
    ...defined({ clip_x0: clips ? parsed.clip_sample_range : undefined }),
    steps_offset: parsed.steps_offset,
    ends_clean: clean,
  };
}

/** Classes that ignore `timestep_spacing`, because they run on their own timesteps. */
const UNSPACED: ReadonlySet<unknown> = new Set(['LCMScheduler', 'TCDScheduler']);

/** Returns the default schedule: `trailing` if the config states this `timestep_spacing`. */
export function readDefaultSchedule(fields: ConfigFields): Pick<GenerationDefaults, 'schedule'> {
  const isTrailing = fields.timestep_spacing === 'trailing' && !UNSPACED.has(fields._class_name);
  return isTrailing ? { schedule: 'trailing' } : {};
}

/** @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for another kind of diffusion */
export function readSchedulerConfig(fields: ConfigFields, path: string): SchedulerConfig {
  requireFeatures(fields, FEATURES, path);
  const parsed = checkConfig(schema, fields, path);
  const defaults = CLASSES.get(parsed._class_name);
  if (defaults === undefined)
    throw unsupported(
      path,
      '_class_name',
      parsed._class_name,
      'it is not a class with the noise process of DDPM',
    );
  const config: SchedulerConfig = {
    prediction: PREDICTION[parsed.prediction_type],
    beta_schedule: parsed.beta_schedule ?? defaults.beta_schedule,
    beta_start: parsed.beta_start ?? defaults.beta_start,
    beta_end: parsed.beta_end ?? defaults.beta_end,
    num_train_timesteps: parsed.num_train_timesteps,
    rescale_zero_snr: parsed.rescale_betas_zero_snr ?? false,
  };
  if (config.beta_end < config.beta_start)
    throw unsupported(path, 'beta_end', config.beta_end, 'expected at least beta_start');
  return config;
}
