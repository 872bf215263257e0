/** Options of the denoising itself: sampler, schedule, guidance, step caching. */
import type { SamplerName } from '../../sampling/samplers/index.js';
import type { ScheduleName } from '../../sampling/schedules/index.js';
import { boolean, integer, interval, name, number, type OptionsOf, object } from '../field.js';

/** A U-Net has at most 12 levels of three branches; how many this one has is known once it is loaded. */
const MAX_BRANCH = 35;

export const samplingFields = {
  /** Steps of the sampler, 1 to 1000; default the model's, else 20. */
  steps: integer({
    description: "steps of the sampler; default the model's, else 20",
    ...{ min: 1, max: 'maxSteps', default: 20 },
    byModel: true,
    infotext: { label: 'Steps', always: true },
  }),
  /** Classifier-free guidance scale, 0 to 100; 1 is none and half the work. Default the model's, else 7. */
  cfg: number({
    description: "guidance scale, 1 is none; default the model's, else 7",
    ...{ min: 0, max: 100, default: 7 },
    byModel: true,
    infotext: { label: 'CFG scale', always: true },
  }),
  /** The sampler, by Safelight's or A1111's name; default the model's, else `dpmpp_2m`. */
  sampler: name<SamplerName>()({
    of: 'sampler',
    description: "by Safelight's or A1111's name; default the model's, else dpmpp_2m",
    default: 'dpmpp_2m',
    byModel: true,
  }),
  /**
   * The schedule of noise levels, by Safelight's or A1111's name; default the sampler name's own ("DPM++ 2M Karras"), the model's, else `karras`. `Automatic` is the one
   * that A1111 runs the sampler with.
   */
  schedule: name<ScheduleName | 'automatic'>()({
    of: 'schedule',
    description: "noise levels; default the model's, else karras",
  }),
  /** Noise of ancestral and SDE samplers (default 1), of DDIM (0), TCD (0.3); 0 to 10. */
  eta: number({
    description: 'noise of ancestral and SDE samplers (default 1) and DDIM (0)',
    ...{ min: 0, max: 10 },
    infotext: { label: 'Eta', also: ['Eta DDIM'] },
  }),
  /** Karras' stochasticity for euler, heun and dpm2: default none. */
  sChurn: number({
    description: 'stochasticity of euler, heun and dpm2; default 0',
    ...{ min: 0, max: 1e6 },
    infotext: { label: 'Sigma churn' },
  }),
  /** Lowest and highest sigma that is churned; default all. */
  sTmin: number({
    description: 'lowest sigma that is churned',
    ...{ min: 0, max: Number.POSITIVE_INFINITY },
    infotext: { label: 'Sigma tmin' },
  }),
  sTmax: number({
    description: 'highest sigma that is churned',
    ...{ min: 0, max: Number.POSITIVE_INFINITY },
    infotext: { label: 'Sigma tmax' },
  }),
  /** Multiplies the noise that samplers add, 0 to 10; default 1. */
  sNoise: number({
    description: 'multiplies added noise; default 1',
    ...{ min: 0, max: 10 },
    infotext: { label: 'Sigma noise' },
  }),
  /** Leaves out the last sigma before the end, as A1111 can; default false. */
  discardPenultimate: boolean({
    description: 'leave out the last sigma but one',
    default: false,
    infotext: { label: 'Discard penultimate sigma' },
  }),
  /** Range and bend of the schedules that are formulas; default the model's range, and each schedule's rho. */
  sigmaMin: number({
    description: "lowest sigma of formula schedules; default the model's",
    ...{ min: 1e-6, max: 1e6 },
    infotext: { label: 'Schedule min sigma' },
  }),
  sigmaMax: number({
    description: "highest sigma; default the model's",
    ...{ min: 1e-6, max: 1e6 },
    infotext: { label: 'Schedule max sigma' },
  }),
  rho: number({
    description: 'bend of karras (7) and polyexponential (1)',
    ...{ min: 1e-3, max: 1e3 },
    infotext: { label: 'Schedule rho' },
  }),
  /** Share of the conditional prediction's contrast that is restored after guidance (Lin et al. 2023), 0 (default) to 1. */
  guidanceRescale: number({
    description: 'contrast restored after guidance, 0 (default) to 1',
    ...{ min: 0, max: 1, default: 0 },
    infotext: {
      label: 'Guidance rescale',
      also: ['CFG rescale', 'CFG Rescale', 'CFG Rescale phi', 'CFG Rescale φ'],
    },
  }),
  /** Sigmas between which there is guidance, `[low, high]`; default everywhere. */
  guidanceInterval: interval({
    description: 'sigmas between which there is guidance; outside of them half the work',
    ...{ min: 0, max: Number.POSITIVE_INFINITY },
    infotext: { label: 'Guidance interval' },
  }),
  /** Step caching: most evaluations run only the shallow part of the U-Net (faster, a little different). Default: none. */
  deepCache: object({
    description: 'step caching (DeepCache): most evaluations run only the shallow part of the U-Net',
    title: 'Step caching (faster, a little different):',
    flag: { prefix: 'deepcache', itself: false },
    fields: {
      /** Evaluations of the U-Net from one whole one to the next, 1 (no caching) to 1000; default 3. */
      interval: integer({
        description: 'run the whole U-Net only every n evaluations; 3 if a branch is given',
        ...{ min: 1, max: 1000, default: 3 },
        infotext: { label: 'DeepCache interval', always: true },
      }),
      /**
       * The part that runs in between, numbered as in the DeepCache package: three branches a level from the finest on; default 0, the
       * least.
       */
      branch: integer({
        description: 'how much of it runs in between: three branches a level; default 0, the least',
        ...{ min: 0, max: MAX_BRANCH, default: 0 },
        infotext: { label: 'DeepCache branch', always: true },
      }),
    },
  }),
};

export type SamplingOptions = OptionsOf<typeof samplingFields>;
export type DeepCacheOptions = NonNullable<SamplingOptions['deepCache']>;
