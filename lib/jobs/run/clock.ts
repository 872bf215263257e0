/** Progress over all batches of a job, and an estimate of the time left from the pace of its steps. */
import type { Progress } from '../../pipelines/progress.js';
import type { JobProgress } from '../types.js';

/** Phases whose steps take about the same time each. */
const STEADY: ReadonlySet<string> = new Set(['denoise', 'codes']);

export class Clock {
  private readonly begun = performance.now();
  private first: { readonly at: number; readonly step: number } | undefined;

  /** @param parts batches, one after the other */
  constructor(private readonly parts: number) {}

  /** @param part from 0 */
  at(part: number, { phase, step, steps }: Progress): JobProgress {
    const now = performance.now();
    const elapsed = (now - this.begun) / 1000;
    if (!STEADY.has(phase)) return { phase, step, steps, elapsed };
    const done = part * steps + step;
    const all = this.parts * steps;
    this.first ??= { at: now, step: done };
    const taken = done - this.first.step;
    if (taken < 1) return { phase, step: done, steps: all, elapsed };
    const left = ((now - this.first.at) / 1000 / taken) * (all - done);
    return { phase, step: done, steps: all, elapsed, left };
  }
}
