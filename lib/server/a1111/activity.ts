/** A1111's global state for clients of its API: the current request, its progress and its newest preview. */
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
  /** Data URI of the newest preview. */
  readonly preview: string | undefined;
  readonly textinfo: string | null;
}

/** Progress of one request. */
export class ActiveRequest {
  skipped = false;
  interrupted = false;
  private progress: JobProgress | undefined;
  private preview: string | undefined;
  private place: number | undefined;
  private startedAt: number | undefined;
  /** Index of the current batch, known from denoising steps only: progress of decoding counts images. */
  private batch = 0;

  constructor(
    /** Undefined while a model is loaded on request. */
    readonly id: string | undefined,
    /** Number of batches; with hires fix, each has two passes. */
    private readonly batches: number,
    readonly timestamp: string,
  ) {}

  get isRunning(): boolean {
    return this.startedAt !== undefined;
  }

  update(event: JobEvent): void {
    if (event.type === 'queued') this.place = event.data.place;
    if (event.type === 'progress') {
      this.startedAt ??= performance.now();
      this.progress = event.data;
      const { phase, step, steps } = event.data;
      if (isCounted(phase)) this.enterBatch(Math.floor((step * this.batches) / Math.max(1, steps)));
    }
    if (event.type === 'preview') this.preview = event.data.image;
    if (event.type === 'image') this.skipped = false;
  }

  /** Advances to a batch; the skipped flag ends when the next batch starts. */
  private enterBatch(batch: number): void {
    const now = Math.min(this.batches - 1, batch);
    if (now > this.batch) this.skipped = false;
    this.batch = now;
  }

  snapshot(): Progress {
    const { step = 0, steps = 0, phase, left } = this.progress ?? {};
    const batchSteps = isCounted(phase) ? Math.max(1, Math.round(steps / this.batches)) : 0;
    const done = isCounted(phase) ? Math.max(0, step - this.batch * batchSteps) : 0;
    const share = phase === 'decode' ? 1 : done / Math.max(1, batchSteps);
    const progress = Math.min(1, 0.01 + (this.batch + share) / this.batches);
    const elapsed = this.startedAt === undefined ? 0 : (performance.now() - this.startedAt) / 1000;
    return {
      progress,
      eta_relative: left ?? elapsed / progress - elapsed,
      preview: this.preview,
      textinfo: this.textInfo(phase),
      state: {
        ...{ skipped: this.skipped, interrupted: this.interrupted, stopping_generation: false },
        job: this.id === undefined ? 'load model' : `Batch ${this.batch + 1} out of ${this.batches}`,
        ...{ job_count: this.batches, job_timestamp: this.timestamp, job_no: this.batch },
        ...{ sampling_step: done, sampling_steps: batchSteps },
      },
    };
  }

  private textInfo(phase: JobProgress['phase'] | undefined): string | null {
    if (this.id === undefined || phase === 'load') return 'Loading model';
    if (this.startedAt !== undefined) return null;
    return this.place ? `Waiting for ${this.place} other job${this.place === 1 ? '' : 's'}` : 'Waiting';
  }
}

/** True for phases whose steps are those of the whole request. */
function isCounted(phase: JobProgress['phase'] | undefined): boolean {
  return phase === 'denoise' || phase === 'upscale';
}

export class Activity {
  private readonly requests = new Set<ActiveRequest>();
  private last = '0';

  begin(job: Pick<Job, 'id'> | undefined, batches: number): ActiveRequest {
    const request = new ActiveRequest(job?.id, batches, timestampOf(new Date()));
    this.last = request.timestamp;
    this.requests.add(request);
    return request;
  }

  end(request: ActiveRequest): void {
    this.requests.delete(request);
  }

  /** The running request, or else the one that has been queued longest. */
  get current(): ActiveRequest | undefined {
    const all = [...this.requests];
    return all.find(({ isRunning }) => isRunning) ?? all[0];
  }

  snapshot(): Progress {
    if (this.current) return this.current.snapshot();
    return {
      ...{ progress: 0, eta_relative: 0, preview: undefined, textinfo: null },
      state: {
        ...{ skipped: false, interrupted: false, stopping_generation: false, job: '', job_count: 0 },
        ...{ job_timestamp: this.last, job_no: 0, sampling_step: 0, sampling_steps: 0 },
      },
    };
  }
}

/** Formats a date as `YYYYMMDDhhmmss` in local time. */
export function timestampOf(date: Date): string {
  const pad = (value: number): string => String(value).padStart(2, '0');
  const day = [date.getFullYear(), pad(date.getMonth() + 1), pad(date.getDate())];
  return [...day, pad(date.getHours()), pad(date.getMinutes()), pad(date.getSeconds())].join('');
}
