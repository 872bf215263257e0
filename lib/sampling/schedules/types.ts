import type { NoiseSchedule } from '../noise-schedule.js';

/** The model and the range that a schedule is made for. */
export interface ScheduleContext {
  /** The model's trained noise levels. */
  readonly schedule: NoiseSchedule;
  /** Range of the schedules that are formulas; the model's own by default, as in A1111. */
  readonly sigmaMin?: number | undefined;
  readonly sigmaMax?: number | undefined;
  /** Bend of `karras` (default 7) and `polyexponential` (default 1). */
  readonly rho?: number | undefined;
  /** The table of `align_your_steps`; default Stable Diffusion 1's. */
  readonly alignYourSteps?: readonly number[] | undefined;
}

/** The context with its defaults filled in and its numbers checked. */
export interface ScheduleRange extends ScheduleContext {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
}

/** Sigmas for `n` steps (n >= 1), descending, the last of which is where sampling ends; f32 values as torch holds them. */
export type Schedule = (n: number, range: ScheduleRange) => number[];
