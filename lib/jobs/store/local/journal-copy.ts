/** File that replaces a journal once it is complete. */
import { closeSync, fdatasyncSync, fsync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';

/** Characters written at once. */
const SLICE = 1 << 18;

export class JournalCopy {
  /** Bytes of the file. */
  length = 0;
  private file: number | undefined;

  /** @throws the system's error */
  constructor(private readonly path: string) {
    this.file = openSync(path, 'w', 0o644);
  }

  /** Writes lines and pauses after each slice of them. */
  *write(lines: Iterable<string>): Generator<void> {
    let text = '';
    for (const line of lines) {
      text += `${line}\n`;
      if (text.length < SLICE) continue;
      this.writeText(text);
      text = '';
      yield;
    }
    this.writeText(text);
  }

  /** Starts writing the file to the disk, so that the sync of `replace` has little left to do. */
  async sync(): Promise<void> {
    await promisify(fsync)(this.opened());
  }

  /** Gives the file the name of the journal. @throws the system's error; the journal is then unchanged */
  replace(journal: string): void {
    fdatasyncSync(this.opened());
    this.close();
    renameSync(this.path, journal);
  }

  /** Removes the file. */
  discard(): void {
    this.close();
    rmSync(this.path, { force: true });
  }

  private writeText(text: string): void {
    const bytes = Buffer.from(text);
    writeAll(this.opened(), bytes, this.length);
    this.length += bytes.length;
  }

  private opened(): number {
    if (this.file === undefined) throw new Error('the copy of the journal is closed');
    return this.file;
  }

  private close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }
}

export function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, position + at);
}
