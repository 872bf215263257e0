/**
 * Append-only text file. A change is one line at its end, which costs one write and one sync of the disk; the lines that
 * are still needed are copied to a new file from time to time. The alternative, one file per record, takes two syncs and
 * a rename per change, four times the space and a read per record at the start.
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { JournalCopy, writeAll } from './journal-copy.js';

/** Bytes read at once. */
const CHUNK = 1 << 20;
const NEWLINE = 0x0a;
const { O_CREAT, O_RDWR } = constants;

export interface SlicedRewrite {
  /** Read while other work runs. */
  readonly lines: Iterable<string>;
  /** Returns the lines that make up for all changes since the start. */
  readonly latest: () => Iterable<string>;
  /** Called before any other line is appended to the new file. */
  readonly onReplaced: () => void;
  readonly signal: AbortSignal;
}

export class Journal {
  private file: number | undefined;
  /** Bytes of the file that are known to be good. Bytes after them belong to a write that failed. */
  private length: number;
  private hasFailed = false;
  /** True if the last line has no end, because a write was cut off when the machine lost power. */
  private isTorn: boolean;

  private constructor(private readonly path: string) {
    rmSync(this.temporary, { force: true }); // left by a process that ended while it rewrote the file
    const file = this.opened();
    this.length = fstatSync(file).size;
    const last = Buffer.alloc(1, NEWLINE);
    if (this.length > 0) readSync(file, last, 0, 1, this.length - 1);
    this.isTorn = last[0] !== NEWLINE;
    syncFolder(dirname(path));
  }

  /** Opens or creates the file. Its folder must exist. @throws the system's error */
  static open(path: string): Journal {
    return new Journal(path);
  }

  /** Bytes of the file. */
  get size(): number {
    return this.length;
  }

  /** Yields the lines of the file, oldest first; the last one may be torn. @throws the system's error */
  *lines(): Generator<Buffer> {
    const file = this.opened();
    let pieces: Buffer[] = [];
    for (let at = 0; at < this.length; ) {
      const chunk = Buffer.alloc(Math.min(CHUNK, this.length - at));
      const count = readSync(file, chunk, 0, chunk.length, at);
      if (count === 0) break;
      at += count;
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        pieces.push(chunk.subarray(start, end));
        yield Buffer.concat(pieces);
        pieces = [];
        start = end + 1;
      }
      pieces.push(chunk.subarray(start, count));
    }
    const torn = Buffer.concat(pieces);
    if (torn.length > 0) yield torn;
  }

  /**
   * Appends lines, all or none of them.
   * @param options.sync false if losing the lines in a power failure is harmless; they survive the end of the process
   * @throws the system's error; the file is then unchanged, at the latest when the next lines are appended
   */
  append(lines: readonly string[], { sync = true }: { readonly sync?: boolean } = {}): void {
    const bytes = Buffer.from(`${this.isTorn ? '\n' : ''}${lines.join('\n')}\n`);
    try {
      const file = this.opened();
      if (this.hasFailed) ftruncateSync(file, this.length);
      this.hasFailed = false;
      writeAll(file, bytes, this.length);
      if (sync) fdatasyncSync(file);
    } catch (error) {
      this.undo();
      throw error;
    }
    this.length += bytes.length;
    this.isTorn = false;
  }

  /**
   * Replaces the file by one that consists of `lines`. After a crash, either the old or the new file exists.
   * @throws the system's error; the file is then unchanged
   */
  rewrite(lines: Iterable<string>): void {
    const copy = new JournalCopy(this.temporary);
    try {
      for (const _ of copy.write(lines));
      this.replaceBy(copy);
    } catch (error) {
      copy.discard();
      throw error;
    }
  }

  /**
   * Like `rewrite`, in slices of a few milliseconds between which other lines may be appended.
   * @throws the system's error, or the reason of the signal; the file is then unchanged
   */
  async rewriteInSlices({ lines, latest, onReplaced, signal }: SlicedRewrite): Promise<void> {
    const copy = new JournalCopy(this.temporary);
    try {
      for (const _ of copy.write(lines)) {
        await setImmediate();
        signal.throwIfAborted();
      }
      await copy.sync();
      signal.throwIfAborted();
      for (const _ of copy.write(latest()));
      this.replaceBy(copy);
      onReplaced();
    } catch (error) {
      copy.discard();
      throw error;
    }
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }

  private replaceBy(copy: JournalCopy): void {
    this.close(); // Windows does not replace an open file
    copy.replace(this.path);
    this.length = copy.length;
    this.hasFailed = false;
    this.isTorn = false;
    syncFolder(dirname(this.path));
  }

  private get temporary(): string {
    return `${this.path}.tmp`;
  }

  private opened(): number {
    this.file ??= openSync(this.path, O_RDWR | O_CREAT, 0o644);
    return this.file;
  }

  /** Removes what a failed write has left. If that fails too, the next write does it. */
  private undo(): void {
    try {
      this.hasFailed = true;
      ftruncateSync(this.opened(), this.length);
      this.hasFailed = false;
    } catch {
      // The disk fails; `hasFailed` stays set.
    }
    try {
      this.close(); // the next write opens the file again, which helps if its device was gone
    } catch {
      this.file = undefined;
    }
  }
}

/** Makes the names of created and renamed files permanent, where the system can (not on Windows). */
export function syncFolder(path: string): void {
  let folder: number | undefined;
  try {
    folder = openSync(path, 'r');
    fsyncSync(folder);
  } catch {
    // A file system that does not sync folders.
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}
