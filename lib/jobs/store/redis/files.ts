/**
 * Transfers files of jobs through Redis: images of requests to workers, and results back into the data folder of a
 * server.
 */
import type { DataFolder } from '../data-folder.js';
import type { StoreFiles } from '../store.js';
import { awaitReply } from './connect.js';
import type { Records } from './records.js';

export class RedisFiles implements StoreFiles {
  constructor(
    private readonly records: Records,
    private readonly data: DataFolder,
  ) {}

  /**
   * Writes an image to Redis for the worker, and to the data folder for later reads.
   * @throws FILE_NOT_WRITTEN, QUEUE_UNAVAILABLE
   */
  async writeInput(id: string, name: string, bytes: Uint8Array): Promise<void> {
    await Promise.all([
      awaitReply(this.records.writeInput(id, name, bytes)),
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

  /** Returns the path of a result, after fetching it if it is still in Redis. */
  async result(id: string, name: string): Promise<string | undefined> {
    await awaitReply(this.fetch(id, name));
    return this.data.result(id, name);
  }

  async remove(id: string): Promise<void> {
    await this.data.remove(id);
    await awaitReply(this.records.dropInputs(id));
  }

  /** Moves the results of an ended job from Redis to the data folder. */
  async collect(id: string): Promise<void> {
    for (const name of await this.records.fileNames(id)) await this.fetch(id, name);
    await this.records.collected(id);
  }

  /** Collects the results of all jobs that ended while no server was running. */
  async collectAll(): Promise<void> {
    for (const id of await this.records.uncollected()) await this.collect(id);
  }

  private async fetch(id: string, name: string): Promise<void> {
    const bytes = await this.records.readFile(id, name);
    if (!bytes) return;
    await this.data.writeResult(id, name, bytes);
    // The job was removed in the meantime, so nothing else would remove the file.
    if (!(await this.records.exists(id))) await this.data.remove(id);
  }
}
