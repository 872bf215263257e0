/**
 * Event log of one job, for any number of readers, each of which resumes where it left off. Only the newest
 * progress event and preview are kept, so that the log stays small and a slow reader misses some of them instead
 * of delaying the job. If a number of previews was requested, all of them are kept.
 */
import type { Job, JobEvent, NewEvent } from '../types.js';

const REPLACED: ReadonlySet<string> = new Set(['queued', 'progress', 'preview']);
const TERMINAL: ReadonlySet<string> = new Set(['done', 'failed', 'cancelled']);

/** Returns true for an event that is replaced by later events of its type. */
export function isReplaced(event: NewEvent): boolean {
  return REPLACED.has(event.type) && !(event.type === 'preview' && event.data.index !== undefined);
}

/** Returns the event that ends a job. */
export function endOf(job: Job): NewEvent {
  return { type: job.status as 'done' | 'failed' | 'cancelled', data: job };
}

export class EventLog {
  private entries: JobEvent[] = [];
  private readonly waiting = new Set<() => void>();
  private next: number;

  /**
   * @param first number of the first event. It must exceed all earlier event numbers of the job, so that readers
   *   can resume after a restart.
   */
  constructor(first: number) {
    this.next = first;
  }

  get ended(): boolean {
    const last = this.entries.at(-1);
    return last !== undefined && TERMINAL.has(last.type);
  }

  /** @returns false for a redundant event: an unchanged place in the queue, or any event after the end */
  add(event: NewEvent): boolean {
    if (this.ended || this.isKnownPlace(event)) return false;
    if (isReplaced(event))
      this.entries = this.entries.filter((old) => old.type !== event.type || !isReplaced(old));
    this.entries.push({ ...event, id: this.next++ });
    for (const wake of [...this.waiting]) wake();
    return true;
  }

  /** Yields events numbered above `after`, until the job has ended or the signal is aborted. */
  async *follow(after: number, signal?: AbortSignal): AsyncGenerator<JobEvent, void> {
    let lastId = after;
    while (!signal?.aborted) {
      const event = this.entries.find(({ id }) => id > lastId);
      if (event) {
        lastId = event.id;
        yield event;
        if (TERMINAL.has(event.type)) return;
      } else if (this.ended) {
        return;
      } else {
        await this.change(signal);
      }
    }
  }

  private isKnownPlace(event: NewEvent): boolean {
    if (event.type !== 'queued') return false;
    const last = this.entries.at(-1);
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
