/** Options of the denoising loop: sampler, schedule, guidance, step caching. */
import type { SamplerName } from '../../sampling/samplers/index.js';
import type { ScheduleName } from '../../sampling/schedules/index.js';
import {
  boolean,
  choice,
  descending,
  integer,
  interval,
  name,
  number,
  type OptionsOf,
  object,
} from '../field.js';
import { modelChangeFields } from './model-changes.js';

/** 12 levels of three branches, the most of any U-Net; the model's own limit is checked once it is loaded. */
const MAX_BRANCH = 35;

export const samplingFields = {
  /** Number of sampling steps, 1 to 1000; default the model's, else 20. */
  steps: integer({
    description: "sampling steps; default the model's, else 20",
    ...{ min: 1, max: 'maxSteps', default: 20 },
    byModel: true,
    infotext: { label: 'Steps', always: true },
  }),
  /**
   * Classifier-free guidance scale, 0 to 100; 1 turns guidance off, which halves the work. Default the model's, else 7.
   */
  cfg: number({
    description: "guidance scale, 1 for none; default the model's, else 7",
    ...{ min: 0, max: 100, default: 7 },
    byModel: true,
    infotext: { label: 'CFG scale', always: true },
  }),
  /** Sampler, by Safelight's or A1111's name; default the model's, else `dpmpp_2m`. */
  sampler: name<SamplerName>()({
    of: 'sampler',
    description: "sampler, by Safelight's or A1111's name; default the model's, else dpmpp_2m",
    default: 'dpmpp_2m',
    byModel: true,
  }),
  /**
   * Schedule of noise levels, by Safelight's or A1111's name. The default is the one in the sampler's name ("DPM++ 2M
   * Karras"), else the sampler's own timesteps (`ddim`, `ddpm`, `plms`, `lcm`, `tcd`), else the model's, else `karras`.
   * `Automatic` selects the sampler's own timesteps, else A1111's schedule for the sampler.
   */
  schedule: name<ScheduleName | 'automatic'>()({
    of: 'schedule',
    description:
      "schedule of noise levels; default the sampler's own timesteps (ddim, plms, lcm, tcd), else the model's, else karras",
  }),
  /**
   * Custom noise levels, which replace `schedule` and `steps`: descending numbers above 0, followed by 0 (appended if
   * missing), with one step from each to the next. Rejected by samplers that compute their own noise levels, such as
   * `ddim`; at most 1 for flow-matching models.
   */
  sigmas: descending({
    description:
      'custom noise levels instead of schedule and steps, descending; a final 0 is appended if missing',
    ...{ min: 1e-6, max: 1e6, maxPositive: 'maxSteps' },
    infotext: { label: 'Sigmas' },
  }),
  /**
   * Amount of noise added by the sampler, 0 to 10; default 1 for ancestral and SDE samplers, 0 for DDIM, 0.3 for TCD.
   */
  eta: number({
    description: 'noise added by ancestral and SDE samplers (default 1) and DDIM (0)',
    ...{ min: 0, max: 10 },
    infotext: { label: 'Eta', also: ['Eta DDIM'] },
  }),
  /** Stochasticity `S_churn` of Karras et al. 2022 for euler, heun and dpm2; default 0. */
  sChurn: number({
    description: 'stochasticity of euler, heun and dpm2; default 0',
    ...{ min: 0, max: 1e6 },
    infotext: { label: 'Sigma churn' },
  }),
  /** Lowest sigma at which `sChurn` applies; default 0. */
  sTmin: number({
    description: 'lowest sigma at which churn applies',
    ...{ min: 0, max: Number.POSITIVE_INFINITY },
    infotext: { label: 'Sigma tmin' },
  }),
  /** Highest sigma at which `sChurn` applies; default Infinity. */
  sTmax: number({
    description: 'highest sigma at which churn applies',
    ...{ min: 0, max: Number.POSITIVE_INFINITY },
    infotext: { label: 'Sigma tmax' },
  }),
  /** Factor of the noise that samplers add, 0 to 10; default 1. */
  sNoise: number({
    description: 'factor of added noise; default 1',
    ...{ min: 0, max: 10 },
    infotext: { label: 'Sigma noise' },
  }),
  /** Omits the last sigma above 0, like A1111's option of this name; default false. */
  discardPenultimate: boolean({
    description: 'omit the last sigma above 0',
    default: false,
    infotext: { label: 'Discard penultimate sigma' },
  }),
  /** Lowest sigma of schedules computed by a formula; default the model's. */
  sigmaMin: number({
    description: "lowest sigma of formula schedules; default the model's",
    ...{ min: 1e-6, max: 1e6 },
    infotext: { label: 'Schedule min sigma' },
  }),
  /** Highest sigma of schedules computed by a formula; default the model's. */
  sigmaMax: number({
    description: "highest sigma; default the model's",
    ...{ min: 1e-6, max: 1e6 },
    infotext: { label: 'Schedule max sigma' },
  }),
  /** Exponent of the karras (default 7) and polyexponential (default 1) schedules. */
  rho: number({
    description: 'exponent of karras (7) and polyexponential (1)',
    ...{ min: 1e-3, max: 1e3 },
    infotext: { label: 'Schedule rho' },
  }),
  /** Fraction of the positive prediction's contrast restored after guidance (Lin et al. 2023), 0 (default) to 1. */
  guidanceRescale: number({
    description: 'contrast restored after guidance, 0 (default) to 1',
    ...{ min: 0, max: 1, default: 0 },
    infotext: {
      label: 'Guidance rescale',
      also: ['CFG rescale', 'CFG Rescale', 'CFG Rescale phi', 'CFG Rescale φ'],
    },
  }),
  /** Range of sigmas `[low, high]` in which guidance applies; outside, a step costs half. Default: all sigmas. */
  guidanceInterval: interval({
    description: 'range of sigmas in which guidance applies; steps outside cost half',
    ...{ min: 0, max: Number.POSITIVE_INFINITY },
    infotext: { label: 'Guidance interval' },
  }),
  /**
   * Adaptive projected guidance (Sadat et al. 2024), which avoids saturated colors at high scales; `{}` uses its defaults.
   * No effect if `cfg` is 1. Default: off.
   */
  apg: object({
    description: 'adaptive projected guidance, which avoids saturated colors at high scales',
    title: 'Adaptive projected guidance (fewer saturated colors at high scales):',
    flag: { prefix: 'apg', itself: true },
    fields: {
      /** Factor of the change that is parallel to the positive prediction, 0 (default) to 10; 1 keeps it. */
      eta: number({
        description:
          'factor of the change parallel to the prediction, which saturates; default 0, 1 keeps it',
        ...{ min: 0, max: 10, default: 0 },
        infotext: { label: 'APG eta', always: true },
      }),
      /** Largest norm of the change of an image, 0 (no limit) to 1e6; default 15. */
      threshold: number({
        description: 'largest norm of the change, 0 for no limit; default 15',
        ...{ min: 0, max: 1e6, default: 15 },
        infotext: { label: 'APG threshold', always: true },
      }),
      /** Factor of the sum of earlier changes, -1 to 1; default -0.5. */
      momentum: number({
        description: 'factor of earlier changes, -1 to 1; default -0.5',
        ...{ min: -1, max: 1, default: -0.5 },
        infotext: { label: 'APG momentum', always: true },
      }),
    },
  }),
  ...modelChangeFields,
  /**
   * Method of step caching, by which most evaluations reuse features of earlier ones, so that generation is faster and
   * the image changes slightly: `deepcache`, `tgate`, `spectrum` or `first-block` (see docs/step-caching.md). Default `none`,
   * or `deepcache` if `deepCache` is given.
   */
  stepCache: choice(['none', 'deepcache', 'tgate', 'spectrum', 'first-block'], {
    description: 'step caching, which is faster and changes the image slightly; default none',
    infotext: { label: 'Step cache' },
  }),
  /** Strength of step caching, 0 to 1; higher values are faster and change the image more. Default 0.5. */
  stepCacheStrength: number({
    description: 'strength of step caching, 0 to 1: faster and more different; default 0.5',
    ...{ min: 0, max: 1 },
    infotext: { label: 'Step cache strength' },
  }),
  /**
   * Settings of the method `deepcache` of step caching, which they select: most evaluations run only the shallow layers
   * of the U-Net. Default: those of `stepCacheStrength`.
   */
  deepCache: object({
    description: 'step caching (DeepCache): most evaluations run only the shallow layers of the U-Net',
    title: 'Step caching with DeepCache:',
    flag: { prefix: 'deepcache', itself: false },
    fields: {
      /** Runs the full U-Net on every `interval`th evaluation, 1 (no caching) to 1000; default 3, or by `stepCacheStrength`. */
      interval: integer({
        description: 'run the full U-Net only on every nth evaluation; default 3, or by the strength',
        ...{ min: 1, max: 1000 },
        infotext: { label: 'DeepCache interval', always: true },
      }),
      /**
       * Layers that run in between, numbered as in the DeepCache package: three branches per level, starting at the
       * finest. Default 0, the fewest layers.
       */
      branch: integer({
        description: 'layers that run in between, three branches per level; default 0, the fewest',
        ...{ min: 0, max: MAX_BRANCH, default: 0 },
        infotext: { label: 'DeepCache branch', always: true },
      }),
    },
  }),
};

export type SamplingOptions = OptionsOf<typeof samplingFields>;
export type DeepCacheOptions = NonNullable<SamplingOptions['deepCache']>;
