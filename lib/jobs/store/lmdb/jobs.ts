/**
 * Transitions of the jobs of one process: records in LMDB, and in memory the order of queued jobs and the progress of running ones.
 * Each method is one step, as nothing else runs in the meantime. A transition is on the disk before its message is sent.
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
import type { LmdbRecords, StoredJob } from './records.js';

/** State of a running job that is not worth a write. */
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

/** An attempt at a job, by a number of its own: a count of attempts goes back where one is given back. */
export interface Claim {
  readonly id: string;
  readonly turn: number;
}

export class LmdbJobs {
  onMessage: (message: StoreMessage) => void = () => undefined;
  onControl: (control: Control) => void = () => undefined;
  /** Queued jobs, the next one first. */
  private waiting: readonly Queued[];
  private readonly running = new Map<string, Live>();
  private turns = 0;
  /** When jobs ended (ISO 8601), oldest first. */
  private readonly ended: Map<string, string>;

  /** Queues again what ran when the last process ended, before all that waited. */
  constructor(readonly records: LmdbRecords) {
    this.ended = records.ended();
    const left = records.unfinished();
    this.waiting = left.filter(({ status }) => status === 'queued').map(queuedOf);
    for (const job of left.filter(({ status }) => status === 'running').reverse()) this.putFirst(job);
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
    const known = this.records.idempotent(key);
    return known && this.records.get(known.id) ? known : undefined;
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
    const known = idempotent && this.keyed(idempotent.key);
    if (known) return { kind: 'known', ...known };
    if (this.waiting.length >= maxQueued) return { kind: 'full' };
    const state = { status: 'queued', attempts: 0, images: [], warnings: [], order } as const;
    const key = idempotent && { key: idempotent.key };
    this.records.add({ ...base, ...state, ...key }, idempotent?.digest);
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

  /** Begins the next job. */
  take(): { readonly claim: Claim; readonly job: Job } | undefined {
    const [next, ...others] = this.waiting;
    const record = next && this.records.get(next.id);
    if (!record) return undefined;
    const { id } = record;
    const attempts = record.attempts + 1;
    const begun = { ...record, status: 'running', attempts, started: new Date().toISOString() } as const;
    this.records.put(begun);
    this.waiting = others;
    const turn = ++this.turns;
    this.running.set(id, { turn, images: [], warnings: [] });
    this.changed(id);
    return { claim: { id, turn }, job: this.jobOf(begun) };
  }

  isCurrent({ id, turn }: Claim): boolean {
    return !this.records.closed && this.running.get(id)?.turn === turn;
  }

  report(claim: Claim, event: NewEvent, kept?: JobSnapshot): boolean {
    const live = this.running.get(claim.id);
    if (!live || !this.isCurrent(claim)) return false;
    const progress = event.type === 'progress' ? { progress: event.data } : {};
    this.running.set(claim.id, { ...live, ...progress, ...kept });
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
    const warnings = this.running.get(id)?.warnings ?? [];
    const finished = new Date().toISOString();
    this.records.put({ ...record, ...outcome, warnings, status, finished });
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

  /** Puts a job among those that wait, behind those of the same order. */
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

  private jobOf({ order: _, key: _key, ...stored }: StoredJob): Job {
    const job = { ...stored, warnings: stored.warnings ?? [] }; // version 0.1 stored none
    if (job.status === 'queued') return { ...job, place: this.placeOf(job.id) };
    const { turn: _turn, ...live } = this.running.get(job.id) ?? {};
    return { ...job, ...live };
  }
}

function queuedOf({ id, order }: StoredJob): Queued {
  return { id, order };
}
