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
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Bytes read or written at once. */
const CHUNK = 1 << 20;
const NEWLINE = 0x0a;
const { O_CREAT, O_RDWR } = constants;

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
    const { temporary } = this;
    try {
      const length = writeLines(temporary, lines);
      this.close(); // Windows does not replace an open file
      renameSync(temporary, this.path);
      this.length = length;
      this.hasFailed = false;
      this.isTorn = false;
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    syncFolder(dirname(this.path));
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
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

/** @returns the number of bytes written */
function writeLines(path: string, lines: Iterable<string>): number {
  const file = openSync(path, 'w', 0o644);
  try {
    let length = 0;
    let text = '';
    const flush = (): void => {
      const bytes = Buffer.from(text);
      writeAll(file, bytes, length);
      length += bytes.length;
      text = '';
    };
    for (const line of lines) {
      text += `${line}\n`;
      if (text.length >= CHUNK) flush();
    }
    flush();
    fsyncSync(file);
    return length;
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, position + at);
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
