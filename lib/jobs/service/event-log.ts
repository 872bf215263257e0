/**
 * What happened to a job, for whoever asks and from wherever they left off. Of progress and previews only the newest is kept, so that a slow
 * reader misses frames and holds nobody up, and a log stays small; a counted preview is kept with the others of its count.
 */
import type { JobEvent } from '../types.js';

/** An event before it has its number. */
export type NewEvent = JobEvent extends infer E ? (E extends JobEvent ? Omit<E, 'id'> : never) : never;

const REPLACED: ReadonlySet<string> = new Set(['queued', 'progress', 'preview']);
const LAST: ReadonlySet<string> = new Set(['done', 'failed', 'cancelled']);

/** True for an event that a later one of its type replaces. Previews that were requested by count are all kept. */
export function isReplaced(event: NewEvent): boolean {
  return REPLACED.has(event.type) && !(event.type === 'preview' && event.data.index !== undefined);
}

export class EventLog {
  private kept: JobEvent[] = [];
  private readonly waiting = new Set<() => void>();
  private next: number;

  /** @param first the number of the first event; later than any given before (a job that runs again goes on counting) */
  constructor(first: number) {
    this.next = first;
  }

  get ended(): boolean {
    const last = this.kept.at(-1);
    return last !== undefined && LAST.has(last.type);
  }

  /** Whether somebody reads it now: previews nobody sees need not be drawn. */
  get read(): boolean {
    return this.waiting.size > 0;
  }

  add(event: NewEvent): void {
    if (this.ended) return;
    if (isReplaced(event)) this.kept = this.kept.filter((old) => old.type !== event.type || !isReplaced(old));
    this.kept.push({ ...event, id: this.next++ } as JobEvent);
    for (const wake of [...this.waiting]) wake();
  }

  /** Events after that number, until the job has ended or the signal is aborted. */
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
