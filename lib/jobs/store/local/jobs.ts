/**
 * State transitions of the jobs of one process. Records are kept on disk, the order of queued jobs and the
 * progress of running ones in memory. Each method is synchronous and therefore atomic. A transition is written to
 * disk before its message is sent.
 */
import type { Warning } from '../../../warnings.js';
import type { Job, JobFilter, JobImage, JobProgress, NewEvent } from '../../types.js';
import type {
  AddResult,
  AddTerms,
  Control,
  JobBase,
  JobSnapshot,
  KeyedJob,
  Outcome,
  StoreMessage,
} from '../store.js';
import type { JobRecords } from './records.js';
import type { StoredJob } from './stored-job.js';

/** State of a running job that is kept only in memory. */
interface Live {
  readonly turn: number;
  readonly progress?: JobProgress;
  readonly images: readonly JobImage[];
  readonly warnings: readonly Warning[];
}

interface Queued {
  readonly id: string;
  readonly order: number;
}

/**
 * An attempt at a job, identified by a unique number. The count of attempts is not unique: it decreases when an
 * attempt is given back.
 */
export interface Claim {
  readonly id: string;
  readonly turn: number;
}

export class LocalJobs {
  onMessage: (message: StoreMessage) => void = () => undefined;
  onControl: (control: Control) => void = () => undefined;
  /** Queued jobs in the order in which they run. */
  private waiting: readonly Queued[];
  private readonly running = new Map<string, Live>();
  private turns = 0;
  /** End times of ended jobs (ISO 8601), oldest first. */
  private readonly ended: Map<string, string>;

  /** Queues the jobs that were running when the previous process ended again, ahead of all others. */
  constructor(readonly records: JobRecords) {
    this.ended = records.ended();
    const unfinished = records.unfinished();
    this.waiting = unfinished.filter(({ status }) => status === 'queued').map(queuedOf);
    for (const job of unfinished.filter(({ status }) => status === 'running').reverse()) this.putFirst(job);
  }

  get(id: string): Job | undefined {
    const record = this.records.get(id);
    return record && this.jobOf(record);
  }

  isRemoved(id: string): boolean {
    return !this.records.closed && this.records.get(id) === undefined;
  }

  list(filter?: JobFilter): Job[] {
    return this.records.list(filter).map((record) => this.jobOf(record));
  }

  keyed(key: string): KeyedJob | undefined {
    return this.records.keyed(key);
  }

  counts(): { readonly queued: number; readonly running: number } {
    return { queued: this.waiting.length, running: this.running.size };
  }

  orders(): Map<string, number> {
    return new Map(this.waiting.map(({ id, order }) => [id, order]));
  }

  expired(keep: number, time: number): string[] {
    const oldest = new Date(time).toISOString();
    let surplus = this.ended.size - keep;
    return [...this.ended].filter(([, finished]) => surplus-- > 0 || finished < oldest).map(([id]) => id);
  }

  add(base: JobBase, { order, maxQueued, idempotent }: AddTerms): AddResult {
    const existing = idempotent && this.keyed(idempotent.key);
    if (existing) return { kind: 'known', ...existing };
    if (this.waiting.length >= maxQueued) return { kind: 'full' };
    const state = { status: 'queued', attempts: 0, images: [], warnings: [], order } as const;
    this.records.add({ ...base, ...state, ...idempotent });
    this.insert(base.id, order);
    const place = this.placeOf(base.id);
    this.changed(base.id);
    this.onControl({ kind: 'work' });
    return { kind: 'added', place };
  }

  move(id: string, order: number): void {
    const record = this.records.get(id);
    if (record?.status !== 'queued') return;
    this.records.put({ ...record, order });
    this.insert(id, order);
    this.changed(id);
  }

  /** Starts the next job. */
  take(): { readonly claim: Claim; readonly job: Job } | undefined {
    const [next, ...others] = this.waiting;
    const record = next && this.records.get(next.id);
    if (!record) return undefined;
    const { id } = record;
    const attempts = record.attempts + 1;
    const started = { ...record, status: 'running', attempts, started: new Date().toISOString() } as const;
    this.records.put(started);
    this.waiting = others;
    const turn = ++this.turns;
    this.running.set(id, { turn, images: [], warnings: [] });
    this.changed(id);
    return { claim: { id, turn }, job: this.jobOf(started) };
  }

  isCurrent({ id, turn }: Claim): boolean {
    return !this.records.closed && this.running.get(id)?.turn === turn;
  }

  report(claim: Claim, event: NewEvent, snapshot?: JobSnapshot): boolean {
    const live = this.running.get(claim.id);
    if (!live || !this.isCurrent(claim)) return false;
    const progress = event.type === 'progress' ? { progress: event.data } : {};
    this.running.set(claim.id, { ...live, ...progress, ...snapshot });
    this.onMessage({ kind: 'event', id: claim.id, event });
    return true;
  }

  finish(claim: Claim, status: 'done' | 'failed', outcome: Outcome): boolean {
    const record = this.records.get(claim.id);
    if (!record || !this.isCurrent(claim)) return false;
    this.end(record, status, outcome);
    return true;
  }

  giveBack(claim: Claim): void {
    const record = this.records.get(claim.id);
    if (!record || !this.isCurrent(claim)) return;
    const { started: _, ...rest } = record;
    this.running.delete(claim.id);
    this.putFirst({ ...rest, attempts: record.attempts - 1 });
    this.changed(claim.id);
  }

  cancel(id: string): boolean {
    const record = this.records.get(id);
    if (!record || record.finished !== undefined) return false;
    this.waiting = this.waiting.filter((other) => other.id !== id);
    this.end(record, 'cancelled', {});
    this.onControl({ kind: 'cancel', id });
    return true;
  }

  remove(id: string): boolean {
    if (this.records.get(id)?.finished === undefined) return false;
    this.records.remove(id);
    this.ended.delete(id);
    this.onMessage({ kind: 'removed', id });
    return true;
  }

  private end(record: StoredJob, status: 'done' | 'failed' | 'cancelled', outcome: Outcome): void {
    const { id } = record;
    const { images, warnings } = this.running.get(id) ?? record;
    const finished = new Date().toISOString();
    this.records.put({ ...record, images, ...outcome, warnings, status, finished });
    this.running.delete(id);
    this.ended.set(id, finished);
    this.changed(id);
  }

  private putFirst(record: StoredJob): void {
    const [next] = this.waiting;
    const order = next === undefined ? record.order : Math.min(record.order, next.order - 1);
    this.records.put({ ...record, status: 'queued', order });
    this.waiting = [{ id: record.id, order }, ...this.waiting];
  }

  /** Inserts a queued job after those with the same order. */
  private insert(id: string, order: number): void {
    const others = this.waiting.filter((other) => other.id !== id);
    const at = others.findIndex((other) => other.order > order);
    this.waiting = others.toSpliced(at < 0 ? others.length : at, 0, { id, order });
  }

  private placeOf(id: string): number {
    return this.waiting.findIndex((queued) => queued.id === id) + this.running.size;
  }

  private changed(id: string): void {
    const job = this.get(id);
    if (job) this.onMessage({ kind: 'changed', job });
  }

  private jobOf({ order: _, key: _key, digest: _digest, ...job }: StoredJob): Job {
    if (job.status === 'queued') return { ...job, place: this.placeOf(job.id) };
    const { turn: _turn, ...live } = this.running.get(job.id) ?? {};
    return { ...job, ...live };
  }
}

function queuedOf({ id, order }: StoredJob): Queued {
  return { id, order };
}
