/** What this door is at, as A1111's one state: the request that is being worked on, its progress, its newest preview. */
import type { Job, JobEvent, JobProgress } from '../../jobs/types.js';

/** A1111's `state`. */
export interface State {
  readonly skipped: boolean;
  readonly interrupted: boolean;
  readonly stopping_generation: boolean;
  readonly job: string;
  readonly job_count: number;
  readonly job_timestamp: string;
  readonly job_no: number;
  readonly sampling_step: number;
  readonly sampling_steps: number;
}

export interface Progress {
  readonly progress: number;
  readonly eta_relative: number;
  readonly state: State;
  /** Data URI, as the job gave it. */
  readonly preview: string | undefined;
  readonly textinfo: string | null;
}

/** One request on its way. */
export class Work {
  skipped = false;
  interrupted = false;
  private progress: JobProgress | undefined;
  private preview: string | undefined;
  private place: number | undefined;
  private begun: number | undefined;
  /** The batch under way; decoding counts pictures and does not tell. */
  private batch = 0;

  constructor(
    /** Undefined while a model is loaded on request. */
    readonly id: string | undefined,
    /** Batches, each of two passes with hires fix. */
    private readonly batches: number,
    readonly timestamp: string,
  ) {}

  get isRunning(): boolean {
    return this.begun !== undefined;
  }

  take(event: JobEvent): void {
    if (event.type === 'queued') this.place = event.data.place;
    if (event.type === 'progress') {
      this.begun ??= performance.now();
      this.progress = event.data;
      const { phase, step, steps } = event.data;
      if (phase === 'denoise') this.reach(Math.floor((step * this.batches) / Math.max(1, steps)));
    }
    if (event.type === 'preview') this.preview = event.data.image;
    if (event.type === 'image') this.skipped = false;
  }

  /** What was skipped is over once the next batch has begun. */
  private reach(batch: number): void {
    const now = Math.min(this.batches - 1, batch);
    if (now > this.batch) this.skipped = false;
    this.batch = now;
  }

  told(): Progress {
    const { step = 0, steps = 0, phase, left } = this.progress ?? {};
    const all = phase === 'denoise' ? Math.max(1, Math.round(steps / this.batches)) : 0;
    const done = phase === 'denoise' ? Math.max(0, step - this.batch * all) : 0;
    const share = phase === 'decode' ? 1 : done / Math.max(1, all);
    const progress = Math.min(1, 0.01 + (this.batch + share) / this.batches);
    const elapsed = this.begun === undefined ? 0 : (performance.now() - this.begun) / 1000;
    return {
      progress,
      eta_relative: left ?? elapsed / progress - elapsed,
      preview: this.preview,
      textinfo: this.words(phase),
      state: {
        ...{ skipped: this.skipped, interrupted: this.interrupted, stopping_generation: false },
        job: this.id === undefined ? 'load model' : `Batch ${this.batch + 1} out of ${this.batches}`,
        ...{ job_count: this.batches, job_timestamp: this.timestamp, job_no: this.batch },
        ...{ sampling_step: done, sampling_steps: all },
      },
    };
  }

  private words(phase: JobProgress['phase'] | undefined): string | null {
    if (this.id === undefined || phase === 'load') return 'Loading the model';
    if (this.begun !== undefined) return null;
    return this.place ? `Waiting for ${this.place} other${this.place === 1 ? '' : 's'}` : 'Waiting';
  }
}

export class Activity {
  private readonly works = new Set<Work>();
  private last = '0';

  begin(job: Pick<Job, 'id'> | undefined, batches: number): Work {
    const work = new Work(job?.id, batches, timestampOf(new Date()));
    this.last = work.timestamp;
    this.works.add(work);
    return work;
  }

  end(work: Work): void {
    this.works.delete(work);
  }

  /** What runs, else what waits longest. */
  get current(): Work | undefined {
    const all = [...this.works];
    return all.find(({ isRunning }) => isRunning) ?? all[0];
  }

  told(): Progress {
    if (this.current) return this.current.told();
    return {
      ...{ progress: 0, eta_relative: 0, preview: undefined, textinfo: null },
      state: {
        ...{ skipped: false, interrupted: false, stopping_generation: false, job: '', job_count: 0 },
        ...{ job_timestamp: this.last, job_no: 0, sampling_step: 0, sampling_steps: 0 },
      },
    };
  }
}

/** Such as 20260131235959, in local time. */
export function timestampOf(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())];
  return [...day, two(date.getHours()), two(date.getMinutes()), two(date.getSeconds())].join('');
}
