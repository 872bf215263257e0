/** What a `scheduler_config.json` tells of the training; how to sample is the user's choice, not the file's. */
import { z } from 'zod';
import type { SchedulerConfig } from './config.js';
import { type ConfigFields, checkConfig, requireFeatures, unsupported } from './validate.js';

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
