/** LoRA files that were read, until they change on disk. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type LoraFile, readLora } from './lora-file.js';

/** A file as it was when it was read. */
export interface ReadLora {
  readonly file: LoraFile;
  /** Tells this content from any other. */
  readonly identity: string;
}

const MOST_FILES = 32;

export class LoraCache {
  private readonly known = new Map<string, ReadLora>();

  /** @throws as `readLora` */
  async get(path: string): Promise<ReadLora> {
    const absolute = resolve(path);
    const identity = await identityOf(absolute);
    const known = this.known.get(absolute);
    const read = known?.identity === identity ? known : { file: await readLora(absolute), identity };
    // Back to the end of the order in which entries are dropped.
    this.known.delete(absolute);
    this.known.set(absolute, read);
    const [oldest] = this.known.keys();
    if (this.known.size > MOST_FILES && oldest !== undefined) this.known.delete(oldest);
    return read;
  }
}

/** Path, time and size. Of a file that is not there only the path: reading it says so. */
async function identityOf(path: string): Promise<string> {
  try {
    const { mtimeMs, size } = await stat(path);
    return JSON.stringify([path, mtimeMs, size]);
  } catch {
    return JSON.stringify([path]);
  }
}
