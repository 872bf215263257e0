export {
  createDenoise,
  DiscreteSchedule,
  type Predict,
  type Scalings,
  scalings,
} from './denoiser.js';
export type { Rng, Seed } from './generators/index.js';
export {
  type Condition,
  checkGuidance,
  combinePredictions,
  conditionsAt,
  type Guidance,
  possibleConditions,
  repeatFor,
} from './guidance.js';
export { createNoise, type NoiseOptions } from './noise.js';
export {
  discardPenultimate,
  initialNoiseScale,
  type ResolvedSampler,
  resolveSampler,
  type SampledModel,
  type SamplerInfo,
  type SamplerName,
  samplerNames,
  samplers,
} from './samplers/index.js';
export {
  resolveSchedule,
  type ScheduleContext,
  type ScheduleInfo,
  type ScheduleName,
  scheduleNames,
  scheduleSigmas,
  schedules,
} from './schedules/index.js';
export type {
  Denoise,
  Latent,
  NoiseSource,
  Sampler,
  SamplerOptions,
  SamplerStep,
} from './types.js';
