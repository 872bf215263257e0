export { createDenoise, type Predict } from './denoiser.js';
export { DiscreteSchedule } from './discrete-schedule.js';
export type { FlowConfig } from './flow-config.js';
export { type FlowImage, FlowSchedule } from './flow-schedule.js';
export { flux2Mu, linearMu, type ShiftLine } from './flow-shift.js';
export { evenTimes, trailingTimes } from './flow-times.js';
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
export { addNoise, type FlowTimes, isFlow, type NoiseSchedule } from './noise-schedule.js';
export { type Prediction, type Scalings, scalings } from './prediction.js';
export {
  checkSampler,
  discardPenultimate,
  type FlowForm,
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
