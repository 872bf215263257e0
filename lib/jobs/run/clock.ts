/**
 * Converts the progress of batches into the progress of the whole job, and estimates the remaining time from
 * the step rate.
 */
import type { JobProgress } from '../types.js';

/** Phases in which every step takes about the same time. */
const STEADY: ReadonlySet<string> = new Set(['denoise', 'codes', 'upscale']);

export class Clock {
  private readonly started = performance.now();
  private first: { readonly at: number; readonly step: number } | undefined;

  /** @param parts number of batches, which run one after the other */
  constructor(private readonly parts: number) {}

  /** @param part index of the batch, from 0 */
  at(part: number, { phase, step, steps }: Pick<JobProgress, 'phase' | 'step' | 'steps'>): JobProgress {
    const now = performance.now();
    const elapsed = (now - this.started) / 1000;
    if (!STEADY.has(phase)) return { phase, step, steps, elapsed };
    const done = part * steps + step;
    const all = this.parts * steps;
    this.first ??= { at: now, step: done };
    const measured = done - this.first.step;
    if (measured < 1) return { phase, step: done, steps: all, elapsed };
    const left = ((now - this.first.at) / 1000 / measured) * (all - done);
    return { phase, step: done, steps: all, elapsed, left };
  }
}
