/** Job records in memory, in the order of their creation. */
import type { JobFilter } from '../../types.js';
import type { KeyedJob } from '../store.js';
import { isUnfinished, type StoredJob } from './stored-job.js';

interface Entry {
  readonly job: StoredJob;
  /** Bytes of its line in the journal. */
  readonly bytes: number;
}

export class JobTable {
  private readonly entries = new Map<string, Entry>();
  /** Ids of all jobs, ascending. */
  private readonly ids: string[] = [];
  /** Ids of jobs by their idempotency key. */
  private readonly keys = new Map<string, string>();
  private total = 0;

  /** Bytes of the lines of all jobs. */
  get bytes(): number {
    return this.total;
  }

  get(id: string): StoredJob | undefined {
    return this.entries.get(id)?.job;
  }

  /** Adds or replaces a job. */
  set(job: StoredJob, bytes: number): void {
    const { id, key } = job;
    const old = this.entries.get(id);
    this.total += bytes - (old?.bytes ?? 0);
    this.entries.set(id, { job, bytes });
    if (key !== undefined) this.keys.set(key, id);
    if (!old) this.ids.splice(this.indexOf(id), 0, id);
  }

  delete(id: string): void {
    const old = this.entries.get(id);
    if (!old) return;
    this.total -= old.bytes;
    this.entries.delete(id);
    this.ids.splice(this.indexOf(id), 1);
    const { key } = old.job;
    if (key !== undefined && this.keys.get(key) === id) this.keys.delete(key);
  }

  /** Returns jobs, newest first (ids sort by creation time). */
  list({ status, limit = 100, before }: JobFilter): StoredJob[] {
    const matches: StoredJob[] = [];
    let at = before === undefined ? this.ids.length : this.indexOf(before);
    while (at > 0 && matches.length < limit) {
      const job = this.at(--at);
      if (status === undefined || job.status === status) matches.push(job);
    }
    return matches;
  }

  /** Returns the queued and running jobs in the order in which they are to run. */
  unfinished(): StoredJob[] {
    const unfinished = [...this.all()].filter(({ status }) => isUnfinished(status));
    return unfinished.sort((a, b) => a.order - b.order);
  }

  /** Returns the end times (ISO 8601) of ended jobs by id, oldest first. */
  ended(): Map<string, string> {
    const times: [string, string][] = [];
    for (const { id, finished } of this.all()) if (finished !== undefined) times.push([id, finished]);
    return new Map(times.sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0)));
  }

  keyed(key: string): KeyedJob | undefined {
    const id = this.keys.get(key);
    const digest = id === undefined ? undefined : this.get(id)?.digest;
    return id === undefined || digest === undefined ? undefined : { id, digest };
  }

  /** Returns the ids of all jobs, oldest first. */
  allIds(): string[] {
    return [...this.ids];
  }

  /** Yields all jobs, oldest first. */
  *all(): Generator<StoredJob> {
    for (let at = 0; at < this.ids.length; at++) yield this.at(at);
  }

  private at(index: number): StoredJob {
    return this.entries.get(this.ids[index]!)!.job;
  }

  /** Returns the number of ids below `id`. New ids are nearly always above all others. */
  private indexOf(id: string): number {
    let [low, high] = [0, this.ids.length];
    if (high > 0 && this.ids[high - 1]! < id) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ids[middle]! < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
