import { stat } from 'node:fs/promises';

const MAX_FILES = 65_536;

/** Caches a value per file until the file's size or modification time changes. */
export class FileCache<T> {
  private readonly entries = new Map<string, { readonly version: string; readonly value: Promise<T> }>();

  /** @param read computes the value of a file; failures are not cached */
  constructor(private readonly read: (path: string) => Promise<T>) {}

  /** Returns the value of a file. @throws as `read`, and the errors of `stat` for a missing file */
  async get(path: string): Promise<T> {
    const { size, mtimeMs } = await stat(path);
    const version = `${size} ${mtimeMs}`;
    const known = this.entries.get(path);
    if (known?.version === version) return known.value;
    const value = this.read(path);
    this.entries.delete(path);
    this.entries.set(path, { version, value });
    value.catch(() => {
      if (this.entries.get(path)?.value === value) this.entries.delete(path);
    });
    const [oldest] = this.entries.keys();
    if (this.entries.size > MAX_FILES && oldest !== undefined) this.entries.delete(oldest);
    return value;
  }
}
