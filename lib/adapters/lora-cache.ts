/** Caches LoRA files until they change on disk. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type LoraFile, readLora } from './lora-file.js';

/** A file at the time when it was read. */
export interface ReadLora {
  readonly file: LoraFile;
  /** Identifies the content. */
  readonly identity: string;
}

const MOST_FILES = 32;

export class LoraCache {
  private readonly entries = new Map<string, ReadLora>();

  /** Returns the cached file, or reads it. @throws as `readLora` */
  async get(path: string): Promise<ReadLora> {
    const absolute = resolve(path);
    const identity = await identityOf(absolute);
    const cached = this.entries.get(absolute);
    const read = cached?.identity === identity ? cached : { file: await readLora(absolute), identity };
    // Moves the entry to the end, since the first entry is evicted.
    this.entries.delete(absolute);
    this.entries.set(absolute, read);
    const [oldest] = this.entries.keys();
    if (this.entries.size > MOST_FILES && oldest !== undefined) this.entries.delete(oldest);
    return read;
  }
}

/** Returns path, modification time and size; only the path of a missing file, which then fails to read. */
async function identityOf(path: string): Promise<string> {
  try {
    const { mtimeMs, size } = await stat(path);
    return JSON.stringify([path, mtimeMs, size]);
  } catch {
    return JSON.stringify([path]);
  }
}
