/**
 * Events of one job, for any number of readers, each from where it left off. Of progress and previews only the newest is kept, so that a slow
 * reader misses frames and delays nobody, and a log stays small. Previews that were requested by count are all kept.
 */
import type { Job, JobEvent, NewEvent } from '../types.js';

const REPLACED: ReadonlySet<string> = new Set(['queued', 'progress', 'preview']);
const LAST: ReadonlySet<string> = new Set(['done', 'failed', 'cancelled']);

/** True for an event that a later one of its type replaces. */
export function isReplaced(event: NewEvent): boolean {
  return REPLACED.has(event.type) && !(event.type === 'preview' && event.data.index !== undefined);
}

/** The event that ends a job. */
export function endOf(job: Job): NewEvent {
  return { type: job.status as 'done' | 'failed' | 'cancelled', data: job };
}

export class EventLog {
  private kept: JobEvent[] = [];
  private readonly waiting = new Set<() => void>();
  private next: number;

  /** @param first number of the first event; above every number given for the job before, so that readers can go on after a restart */
  constructor(first: number) {
    this.next = first;
  }

  get ended(): boolean {
    const last = this.kept.at(-1);
    return last !== undefined && LAST.has(last.type);
  }

  /** @returns false for an event that says nothing new: the same place in the queue, or anything after the end */
  add(event: NewEvent): boolean {
    if (this.ended || this.isKnownPlace(event)) return false;
    if (isReplaced(event)) this.kept = this.kept.filter((old) => old.type !== event.type || !isReplaced(old));
    this.kept.push({ ...event, id: this.next++ });
    for (const wake of [...this.waiting]) wake();
    return true;
  }

  /** Yields events numbered above `after`, until the job has ended or the signal is aborted. */
  async *follow(after: number, signal?: AbortSignal): AsyncGenerator<JobEvent, void> {
    let seen = after;
    while (!signal?.aborted) {
      const event = this.kept.find(({ id }) => id > seen);
      if (event) {
        seen = event.id;
        yield event;
        if (LAST.has(event.type)) return;
      } else if (this.ended) {
        return;
      } else {
        await this.change(signal);
      }
    }
  }

  private isKnownPlace(event: NewEvent): boolean {
    if (event.type !== 'queued') return false;
    const last = this.kept.at(-1);
    return last?.type === 'queued' && last.data.place === event.data.place;
  }

  private change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.waiting.add(wake);
      signal?.addEventListener('abort', wake);
    });
  }
}
