/** What a `scheduler_config.json` tells of the training; how to sample is the user's choice, not the file's. */

import { z } from 'zod';
import { defined } from '../../../defined.js';
import type { SchedulerConfig } from '../types.js';
import { type ConfigFields, checkConfig, requireFeatures, unsupported } from '../validate.js';

const FEATURES = {
  trained_betas: [],
  use_flow_sigmas: [false],
  beta_schedule: ['scaled_linear', 'linear', 'squaredcos_cap_v2'],
  prediction_type: ['epsilon', 'v_prediction', 'sample'],
} as const;

const schema = z.object({
  _class_name: z.string().default('DDIMScheduler'),
  prediction_type: z.enum(['epsilon', 'v_prediction', 'sample']).default('epsilon'),
  beta_schedule: z.enum(['scaled_linear', 'linear', 'squaredcos_cap_v2']).optional(),
  beta_start: z.number().gt(0).lt(1).optional(),
  beta_end: z.number().gt(0).lt(1).optional(),
  num_train_timesteps: z.int().min(2).max(100_000).default(1000),
  rescale_betas_zero_snr: z.boolean().nullish(),
});

const PREDICTION = { epsilon: 'eps', v_prediction: 'v', sample: 'x0' } as const;

/** Stable Diffusion's own training. */
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

/** Classes with DDPM's steps, and the betas that their constructors (diffusers 0.42) take where the file gives none. */
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

const samplingSchema = z.object({
  _class_name: z.string().default('DDIMScheduler'),
  clip_sample: z.boolean().nullish(),
  clip_sample_range: z.number().gt(0).max(1e6).default(1),
  steps_offset: z.int().min(0).max(100_000).default(0),
  set_alpha_to_one: z.boolean().nullish(),
});

/** Classes that bound x0 unless they are told not to, and those whose last step ends at a clean picture unless told. */
const CLIPS = /^DD[IP]M(Parallel)?Scheduler$/;

/**
 * How diffusers' own pipelines of such models step: pixels are bounded, and timesteps begin where the file says. Of Stable Diffusion's
 * folders this is not asked: how they are sampled is the user's choice.
 */
export function readSampling(
  fields: ConfigFields,
  path: string,
): Pick<SchedulerConfig, 'clip_x0' | 'steps_offset' | 'ends_clean'> {
  const given = checkConfig(samplingSchema, fields, path);
  const clips = CLIPS.test(given._class_name) && (given.clip_sample ?? true);
  // PNDM is told to; DDPM has no other way.
  const clean = given._class_name.startsWith('PNDM')
    ? (given.set_alpha_to_one ?? false)
    : given._class_name.startsWith('DDPM') || (given.set_alpha_to_one ?? true);
  return {
    ...defined({ clip_x0: clips ? given.clip_sample_range : undefined }),
    steps_offset: given.steps_offset,
    ends_clean: clean,
  };
}

/** @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for another kind of diffusion */
export function readSchedulerConfig(fields: ConfigFields, path: string): SchedulerConfig {
  requireFeatures(fields, FEATURES, path);
  const given = checkConfig(schema, fields, path);
  const defaults = CLASSES.get(given._class_name);
  if (defaults === undefined)
    throw unsupported(path, '_class_name', given._class_name, 'it is no model with the steps of DDPM');
  const config: SchedulerConfig = {
    prediction: PREDICTION[given.prediction_type],
    beta_schedule: given.beta_schedule ?? defaults.beta_schedule,
    beta_start: given.beta_start ?? defaults.beta_start,
    beta_end: given.beta_end ?? defaults.beta_end,
    num_train_timesteps: given.num_train_timesteps,
    rescale_zero_snr: given.rescale_betas_zero_snr ?? false,
  };
  if (config.beta_end < config.beta_start)
    throw unsupported(path, 'beta_end', config.beta_end, 'betas have to grow');
  return config;
}
