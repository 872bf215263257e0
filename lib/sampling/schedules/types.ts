import type { NoiseSchedule } from '../noise-schedule.js';

/** Model and range of a schedule. */
export interface ScheduleContext {
  /** The model's trained noise levels. */
  readonly schedule: NoiseSchedule;
  /** Range of schedules computed by a formula; default the model's, as in A1111. */
  readonly sigmaMin?: number | undefined;
  readonly sigmaMax?: number | undefined;
  /** Exponent of `karras` (default 7) and `polyexponential` (default 1). */
  readonly rho?: number | undefined;
  /** Table of `align_your_steps`; default Stable Diffusion 1's. */
  readonly alignYourSteps?: readonly number[] | undefined;
}

/** A validated context with the default range filled in. */
export interface ScheduleRange extends ScheduleContext {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
}

/** Computes the descending sigmas of `n` steps (n >= 1) including the final one, rounded to f32 as in PyTorch. */
export type Schedule = (n: number, range: ScheduleRange) => number[];
