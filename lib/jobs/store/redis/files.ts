/** Files of jobs on their way: images of requests to workers through Redis, results back into the data folder of a server. */
import type { DataFolder } from '../data-folder.js';
import type { StoreFiles } from '../store.js';
import { answered } from './connect.js';
import type { Records } from './records.js';

export class RedisFiles implements StoreFiles {
  constructor(
    private readonly records: Records,
    private readonly data: DataFolder,
  ) {}

  /** Writes the image for the worker, and for later looks at the job. @throws FILE_NOT_WRITTEN, QUEUE_UNAVAILABLE */
  async writeInput(id: string, name: string, bytes: Uint8Array): Promise<void> {
    await Promise.all([
      answered(this.records.writeInput(id, name, bytes)),
      this.data.writeInput(id, name, bytes),
    ]);
  }

  readInput(id: string, name: string): Promise<Uint8Array> {
    return this.data.readInput(id, name);
  }

  async readResult(id: string, name: string): Promise<Uint8Array> {
    await this.result(id, name);
    return this.data.readResult(id, name);
  }

  /** Fetches a result that is still in Redis: the newest, after a worker died. */
  async result(id: string, name: string): Promise<string | undefined> {
    await answered(this.fetch(id, name));
    return this.data.result(id, name);
  }

  async remove(id: string): Promise<void> {
    await this.data.remove(id);
    await answered(this.records.dropInputs(id));
  }

  /** Moves the results of an ended job from Redis into the data folder. */
  async collect(id: string): Promise<void> {
    for (const name of await this.records.fileNames(id)) await this.fetch(id, name);
    await this.records.collected(id);
  }

  /** Collects the results of all jobs that ended while no server was there. */
  async collectAll(): Promise<void> {
    for (const id of await this.records.uncollected()) await this.collect(id);
  }

  private async fetch(id: string, name: string): Promise<void> {
    const bytes = await this.records.readFile(id, name);
    if (!bytes) return;
    await this.data.writeResult(id, name, bytes);
    // Removed meanwhile: the file would stay for good.
    if (!(await this.records.exists(id))) await this.data.remove(id);
  }
}
