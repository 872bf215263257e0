/** Reports the events of a job as the progress of a call. */
import { defined } from '../defined.js';
import type { JobEvent, JobProgress } from '../jobs/types.js';
import type { Progress } from './tool.js';

/** Milliseconds of silence after which the last message is repeated, so that clients do not run into their timeouts. */
const HEARTBEAT = 10_000;

const PHASES: Readonly<Record<JobProgress['phase'], string>> = {
  load: 'Loading the model',
  encode: 'Encoding',
  denoise: 'Denoising',
  decode: 'Decoding',
  codes: 'Sampling',
  upscale: 'Upscaling',
};

/** Phases whose steps count. The others, such as loading, have steps of their own. */
const COUNTED: ReadonlySet<string> = new Set(['denoise', 'codes', 'upscale']);

/**
 * `progress` is the number of completed steps out of `total`, which counts one step more for decoding and saving. As the
 * protocol requires, it always increases: events of the same step, such as a place in the queue, add a fraction below 1.
 */
export class ProgressReporter {
  private last = -1;
  private total: number | undefined;
  private message = 'Queued';
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly send: (progress: Progress) => void,
    heartbeat = HEARTBEAT,
  ) {
    this.timer = setInterval(() => this.report(0), heartbeat);
    this.timer.unref();
  }

  onEvent(event: JobEvent): void {
    if (event.type === 'queued') {
      const { place } = event.data;
      this.update(place === 0 ? 'Starting' : `Queued, ${place} ${place === 1 ? 'job' : 'jobs'} ahead`);
    } else if (event.type === 'progress') {
      const { phase, step, steps } = event.data;
      const isCounted = COUNTED.has(phase);
      if (isCounted) this.total = steps + 1;
      this.update(messageOf(event.data), isCounted ? step : 0);
    }
  }

  /** Stops the heartbeat. */
  stop(): void {
    clearInterval(this.timer);
  }

  private update(message: string, step = 0): void {
    if (message === this.message && step <= this.last) return;
    this.message = message;
    this.report(step);
  }

  private report(step: number): void {
    const between = this.last + (Math.floor(this.last) + 1 - this.last) / 8;
    const progress = step > this.last ? step : between;
    if (progress <= this.last) return; // after hundreds of repetitions, no number is left between two steps
    this.last = progress;
    this.send({ progress, ...defined({ total: this.total }), message: this.message });
  }
}

function messageOf({ phase, step, steps, left }: JobProgress): string {
  const position = COUNTED.has(phase) ? `, step ${step} of ${steps}` : '';
  const rest = left === undefined || left < 1 ? '' : `, about ${Math.round(left)} s left`;
  return `${PHASES[phase]}${position}${rest}`;
}
