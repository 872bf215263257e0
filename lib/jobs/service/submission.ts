/** Submits requests to the queue: validates them, stores their images and assigns an id and an order. */
import { createHash } from 'node:crypto';
import { SafelightError } from '../../errors.js';
import { newId } from '../id.js';
import { type ImageLimits, storeImages } from '../images.js';
import { type DiskWatch, isDiskError } from '../store/disk.js';
import type { AddTerms, IdempotencyKey, JobBase, JobStore, KeyedJob } from '../store/store.js';
import type { Job, JobRequest } from '../types.js';
import { latestOrder } from './order.js';

export interface SubmissionOptions extends ImageLimits {
  /** Maximum number of queued jobs; default 100. */
  readonly maxQueued?: number;
}

type Prepared = Pick<Job, 'model' | 'options'>;

/** Validates a request and fills in the model and the seed. @throws INVALID_OPTION, MODEL_NOT_FOUND, ADAPTER_NOT_FOUND */
export type PrepareRequest = (request: JobRequest) => Prepared | Promise<Prepared>;

export interface SubmissionParts {
  readonly store: JobStore;
  readonly disk: DiskWatch;
  readonly prepare: PrepareRequest;
}

/** Weight of the newest job in the average duration, and the initial average in seconds. */
const [WEIGHT, FIRST_GUESS] = [0.3, 30];

export class Submission {
  private readonly maxQueued: number;
  private closed = false;
  private lastOrder = 0;
  /** Average duration of a job in seconds. */
  private seconds = FIRST_GUESS;

  constructor(
    private readonly parts: SubmissionParts,
    private readonly options: SubmissionOptions,
  ) {
    this.maxQueued = options.maxQueued ?? 100;
  }

  /** Continues the order after the jobs that are already queued. */
  async start(): Promise<void> {
    this.lastOrder = latestOrder(await this.parts.store.orders());
  }

  /** Rejects all requests from now on, including those in progress. */
  stop(): void {
    this.closed = true;
  }

  /** Records the order of a moved job, so that later jobs are queued after it. */
  noteOrder(order: number): void {
    this.lastOrder = Math.max(this.lastOrder, order);
  }

  /** Updates the average duration with a job that is done. */
  noteDuration({ status, started, finished }: Job): void {
    const duration = (Date.parse(finished ?? '') - Date.parse(started ?? '')) / 1000;
    if (status === 'done' && duration >= 0) this.seconds = (1 - WEIGHT) * this.seconds + WEIGHT * duration;
  }

  /** @throws errors of `JobQueue.submit` */
  async submit(request: JobRequest, key: string | undefined): Promise<Job> {
    this.checkOpen();
    if (key === undefined) return this.enqueue(request);
    const idempotent = { key, digest: digestOf(request) };
    const existing = await this.parts.store.keyed(key);
    return existing ? this.earlier(existing, idempotent) : this.enqueue(request, idempotent);
  }

  private async enqueue(request: JobRequest, idempotent?: IdempotencyKey): Promise<Job> {
    const { store, disk, prepare } = this.parts;
    const { type, previews = {}, client = 'own', extra = null } = request;
    const { model, options } = await prepare(request);
    disk.check();
    // Checked before images are written, and again by the store, because other requests may arrive in the
    // meantime.
    if ((await store.counts()).queued >= this.maxQueued) throw queueFull(this.maxQueued, this.seconds);
    const id = newId();
    this.lastOrder = Math.max(Date.now(), this.lastOrder + 1);
    const terms = { order: this.lastOrder, maxQueued: this.maxQueued, idempotent };
    const created = new Date().toISOString();
    try {
      const stored = await storeImages({ id, type, options }, store.files, this.options);
      this.checkOpen();
      return await this.add({ id, type, model, options: stored, previews, client, extra, created }, terms);
    } catch (error) {
      await store.files.remove(id).catch(() => undefined);
      if (isDiskError(error)) disk.failed(error);
      throw error;
    }
  }

  private async add(base: JobBase, terms: AddTerms): Promise<Job> {
    const { store } = this.parts;
    const result = await store.add(base, terms);
    if (result.kind === 'full') throw queueFull(this.maxQueued, this.seconds);
    if (result.kind === 'known') {
      await store.files.remove(base.id);
      return this.earlier(result, terms.idempotent);
    }
    const { place } = result;
    return { ...base, status: 'queued', attempts: 0, place, images: [], warnings: [] };
  }

  /**
   * Returns the job that was submitted earlier with this key.
   * @throws INVALID_OPTION if that request was different
   */
  private async earlier({ id, digest }: KeyedJob, key: IdempotencyKey | undefined): Promise<Job> {
    const job = digest === key?.digest ? await this.parts.store.get(id) : undefined;
    if (job) return job;
    throw new SafelightError(
      'INVALID_OPTION',
      'This Idempotency-Key was used with a different request; use a new key',
    );
  }

  /** @throws DISPOSED */
  private checkOpen(): void {
    if (this.closed) throw new SafelightError('DISPOSED', 'The server is stopping and accepts no more jobs');
  }
}

function digestOf(request: JobRequest): string {
  return createHash('sha256').update(JSON.stringify(request)).digest('hex');
}

/** @param seconds average duration of a job in seconds */
function queueFull(maxQueued: number, seconds: number): SafelightError {
  const retryAfter = Math.max(1, Math.ceil(seconds));
  const error = new SafelightError(
    'QUEUE_FULL',
    `The queue is full (${maxQueued} jobs); retry in about ${retryAfter} seconds`,
  );
  return Object.assign(error, { retryAfter });
}
