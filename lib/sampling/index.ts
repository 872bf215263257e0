export {
  createDenoise,
  DiscreteSchedule,
  type Predict,
  type Scalings,
  scalings,
} from './denoiser.js';
export type { Rng, Seed } from './generators/index.js';
export {
  activeBranches,
  checkGuidance,
  combinePredictions,
  type Guidance,
  type GuidancePair,
  guidanceBranches,
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
