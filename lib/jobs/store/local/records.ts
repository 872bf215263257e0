/**
 * Job records of one process: in memory, and in a journal that survives any end of the process. Changes that cannot be
 * written because the disk is full stay in memory until `flush` succeeds; only new jobs are refused, because they could
 * be lost after they were accepted.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SafelightError } from '../../../errors.js';
import type { JobFilter } from '../../types.js';
import type { KeyedJob } from '../store.js';
import { Journal, syncFolder } from './journal.js';
import { parseChange, type StoredChange, type StoredJob } from './stored-job.js';
import { JobTable } from './table.js';

/** The journal is rewritten when it has this many bytes of outdated lines, and more of them than of current ones. */
const SLACK = 1 << 20;
/**
 * A journal of up to this many bytes is also rewritten at each start, which takes milliseconds, so that it does not keep
 * the prompts of removed jobs.
 */
const SMALL = 1 << 24;

export class JobRecords {
  private readonly table = new JobTable();
  /** Ids of jobs whose last change is only in memory. */
  private readonly unwritten = new Set<string>();
  /** Size of the journal from which it may be rewritten; increases when that fails. */
  private rewriteFrom = 0;
  /** The rewrite that runs in the background, and the ids of jobs that changed since it started. */
  private rewriting: { readonly ended: Promise<void>; readonly changed: Set<string> } | undefined;
  private readonly closing = new AbortController();

  /** Called with the error of each failed write that is kept in memory. */
  onFailure: (error: unknown) => void = () => undefined;

  private constructor(
    /** Folder of the journal. */
    readonly folder: string,
    private readonly journal: Journal,
  ) {}

  /**
   * Opens or creates the records in `folder`. Damaged lines are moved to `jobs-damaged.jsonl`.
   * @param onWarning called with a sentence if there are any
   * @throws FILE_NOT_WRITTEN
   */
  static open(folder: string, onWarning: (message: string) => void = () => undefined): JobRecords {
    try {
      mkdirSync(folder, { recursive: true });
      syncFolder(dirname(folder));
      const records = new JobRecords(folder, Journal.open(journalIn(folder)));
      records.load(onWarning);
      return records;
    } catch (error) {
      throw notStored(folder, error);
    }
  }

  /** True after `close`: reads then return nothing. */
  get closed(): boolean {
    return this.closing.signal.aborted;
  }

  get(id: string): StoredJob | undefined {
    return this.closed ? undefined : this.table.get(id);
  }

  /** Writes a record. If the disk is full, the record is kept in memory and written once there is space again. */
  put(job: StoredJob): void {
    this.check();
    const line = JSON.stringify(job);
    this.keep(line);
    this.writeOrKeep(job.id, line);
  }

  /** Writes a new job with its idempotency key. @throws FILE_NOT_WRITTEN if the write fails */
  add(job: StoredJob): void {
    this.check();
    const line = JSON.stringify(job);
    try {
      this.journal.append([line]);
    } catch (error) {
      throw notStored(this.folder, error);
    }
    this.keep(line);
    this.rewriting?.changed.add(job.id);
    this.rewriteIfLarge();
  }

  /** Removes a record and its idempotency key. After a power failure it may be back, as a job without files. */
  remove(id: string): void {
    this.check();
    this.table.delete(id);
    this.writeOrKeep(id, removalOf(id), { sync: false });
  }

  /** Writes the changes whose earlier writes failed. @throws the error of the write */
  flush(): void {
    if (this.closed || this.unwritten.size === 0) return;
    this.journal.append(this.changesOf(this.unwritten));
    this.unwritten.clear();
  }

  /** Returns jobs, newest first. */
  list(filter: JobFilter = {}): StoredJob[] {
    return this.closed ? [] : this.table.list(filter);
  }

  /** Returns the queued and running jobs in the order in which they are to run. */
  unfinished(): StoredJob[] {
    return this.closed ? [] : this.table.unfinished();
  }

  /** Returns the end times (ISO 8601) of ended jobs by id, oldest first. */
  ended(): Map<string, string> {
    return this.closed ? new Map() : this.table.ended();
  }

  keyed(key: string): KeyedJob | undefined {
    return this.closed ? undefined : this.table.keyed(key);
  }

  /** Closes the journal. Later reads, such as those of requests in progress, return nothing. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closing.abort();
    this.journal.close();
    await this.rewriting?.ended; // stops within milliseconds
  }

  private load(onWarning: (message: string) => void): void {
    const damaged: Buffer[] = [];
    for (const line of this.journal.lines()) {
      const change = parseChange(line);
      if (change) apply(this.table, change, line.length + 1);
      else damaged.push(line);
    }
    if (damaged.length > 0) this.setAside(damaged, onWarning);
    else if (this.journal.size <= SMALL && this.journal.size !== this.table.bytes) this.tryToRewrite();
    else this.rewriteIfLarge();
  }

  private setAside(damaged: readonly Buffer[], onWarning: (message: string) => void): void {
    const path = join(this.folder, 'jobs-damaged.jsonl');
    const found = `${damaged.length} damaged ${damaged.length === 1 ? 'line' : 'lines'} in ${journalIn(this.folder)}`;
    try {
      for (const line of damaged) appendFileSync(path, Buffer.concat([line, Buffer.from('\n')]));
      this.rewrite();
      onWarning(`${found}: moved to ${path}; jobs may be missing, or run again`);
    } catch (error) {
      // They stay where they are, and the next start tries it again.
      onWarning(`${found}: ignored, and not moved because of an error (${reasonOf(error)})`);
    }
  }

  /** Keeps a record as it will be read from its line. */
  private keep(line: string): void {
    this.table.set(JSON.parse(line), Buffer.byteLength(line) + 1);
  }

  private writeOrKeep(id: string, line: string, options?: { readonly sync: boolean }): void {
    this.rewriting?.changed.add(id);
    try {
      this.journal.append([line], options);
      this.unwritten.delete(id);
    } catch (error) {
      this.unwritten.add(id);
      this.onFailure(error);
      return;
    }
    this.rewriteIfLarge();
  }

  private rewriteIfLarge(): void {
    const { size } = this.journal;
    const { bytes } = this.table;
    if (this.rewriting || size < this.rewriteFrom || size - bytes <= Math.max(SLACK, bytes)) return;
    const changed = new Set<string>();
    this.rewriting = { ended: this.rewriteInBackground(changed), changed };
  }

  private async rewriteInBackground(changed: ReadonlySet<string>): Promise<void> {
    try {
      await this.journal.rewriteInSlices({
        lines: this.currentLines(),
        latest: () => this.changesOf(changed),
        onReplaced: () => this.unwritten.clear(),
        signal: this.closing.signal,
      });
    } catch {
      this.rewriteFrom = this.journal.size + SLACK;
    }
    this.rewriting = undefined;
  }

  /** Yields the lines of all jobs; jobs may change between two of them. */
  private *currentLines(): Generator<string> {
    for (const id of this.table.allIds()) {
      const job = this.table.get(id);
      if (job) yield JSON.stringify(job);
    }
  }

  private changesOf(ids: Iterable<string>): string[] {
    return [...ids].map((id) => {
      const job = this.table.get(id);
      return job ? JSON.stringify(job) : removalOf(id);
    });
  }

  /** A journal that cannot be rewritten, for example because the disk is full, remains complete. */
  private tryToRewrite(): void {
    try {
      this.rewrite();
    } catch {
      this.rewriteFrom = this.journal.size + SLACK;
    }
  }

  private rewrite(): void {
    this.journal.rewrite(this.currentLines());
    this.unwritten.clear();
  }

  /** @throws DISPOSED */
  private check(): void {
    if (this.closed)
      throw new SafelightError(
        'DISPOSED',
        'The queue is closed; send the request again when the server has restarted',
      );
  }
}

function journalIn(folder: string): string {
  return join(folder, 'jobs.jsonl');
}

function apply(table: JobTable, change: StoredChange, bytes: number): void {
  if ('removed' in change) table.delete(change.removed);
  else table.set(change, bytes);
}

function removalOf(id: string): string {
  return JSON.stringify({ removed: id });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function notStored(folder: string, error: unknown): SafelightError {
  return new SafelightError('FILE_NOT_WRITTEN', `Cannot store jobs in '${folder}': ${reasonOf(error)}`, {
    cause: error,
  });
}
