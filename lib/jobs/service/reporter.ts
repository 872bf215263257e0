/**
 * Sends the events of a run to the store one after the other. If the store is slower than the job, only the newest
 * progress event and preview are sent.
 */
import { Warnings } from '../../warnings.js';
import type { JobSnapshot, JobTurn } from '../store/store.js';
import type { JobImage, NewEvent } from '../types.js';
import { isReplaced } from './event-log.js';

export class Reporter {
  private readonly images: JobImage[] = [];
  private readonly warnings = new Warnings();
  private readonly pending: NewEvent[] = [];
  private sending: Promise<void> | undefined;

  constructor(private readonly turn: Pick<JobTurn, 'report'>) {}

  add(event: NewEvent): void {
    const replaced = this.pending.findIndex((old) => old.type === event.type && isReplaced(old));
    if (replaced >= 0 && isReplaced(event)) this.pending.splice(replaced, 1);
    this.pending.push(event);
    this.sending ??= this.send();
  }

  /** Images of the run so far. */
  get saved(): readonly JobImage[] {
    return [...this.images];
  }

  /** Settles when all events added so far are stored. */
  async end(): Promise<void> {
    await this.sending;
  }

  private async send(): Promise<void> {
    // Errors are ignored: readers miss the event, but the outcome of the job is stored separately.
    for (let event = this.pending.shift(); event; event = this.pending.shift())
      await this.turn.report(event, this.snapshotPart(event)).catch(() => undefined);
    // Not in a later microtask, before which an event could be added that nobody would send.
    this.sending = undefined;
  }

  private snapshotPart(event: NewEvent): JobSnapshot | undefined {
    if (event.type === 'image') {
      const { index: _, ...image } = event.data;
      this.images.push(image);
      return { images: [...this.images] };
    }
    if (event.type !== 'warning') return undefined;
    this.warnings.add(event.data.code, event.data.message);
    return { warnings: this.warnings.list };
  }
}
