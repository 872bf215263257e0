/** Files of jobs: results in `jobs/ID/NAME`, and the images of requests in `jobs/ID/inputs/NAME`. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SafelightError } from '../../errors.js';
import { isId } from '../id.js';

const NAME = /^[a-z0-9][a-z0-9.-]{0,63}$/;

export class DataFolder {
  private constructor(readonly path: string) {}

  /** Creates the folder if it is missing. @throws FILE_NOT_WRITTEN */
  static async open(path: string): Promise<DataFolder> {
    try {
      await mkdir(join(path, 'jobs'), { recursive: true });
    } catch (error) {
      throw notWritten(path, error);
    }
    return new DataFolder(path);
  }

  /** The path of a job's result, or undefined where no such file exists. */
  async result(id: string, name: string): Promise<string | undefined> {
    const path = this.resultPath(id, name);
    const info = path === undefined ? undefined : await stat(path).catch(() => undefined);
    return info?.isFile() ? path : undefined;
  }

  /** Writes a result whole or not at all; the same name again replaces it. @throws FILE_NOT_WRITTEN */
  async writeResult(id: string, name: string, data: Uint8Array): Promise<void> {
    await this.write(join(this.path, 'jobs', id), name, data);
  }

  /** @throws FILE_NOT_WRITTEN */
  async writeInput(id: string, name: string, data: Uint8Array): Promise<void> {
    await this.write(join(this.path, 'jobs', id, 'inputs'), name, data);
  }

  /** @throws FILE_NOT_FOUND */
  async readInput(id: string, name: string): Promise<Uint8Array> {
    if (!isId(id) || !NAME.test(name))
      throw new SafelightError('FILE_NOT_FOUND', `No job has an input of the name ${JSON.stringify(name)}`);
    return this.read(join(this.path, 'jobs', id, 'inputs', name));
  }

  /** @throws FILE_NOT_FOUND */
  async readResult(id: string, name: string): Promise<Uint8Array> {
    const path = this.resultPath(id, name);
    if (!path)
      throw new SafelightError('FILE_NOT_FOUND', `No job has a result of the name ${JSON.stringify(name)}`);
    return this.read(path);
  }

  /** Removes every file of a job. */
  async remove(id: string): Promise<void> {
    if (!isId(id)) return;
    // Retried where a file is written meanwhile.
    const patience = { maxRetries: 5, retryDelay: 20 };
    await rm(join(this.path, 'jobs', id), { recursive: true, force: true, ...patience });
  }

  /** Undefined for an id or name that no file can have. */
  private resultPath(id: string, name: string): string | undefined {
    return isId(id) && NAME.test(name) ? join(this.path, 'jobs', id, name) : undefined;
  }

  private async read(path: string): Promise<Uint8Array> {
    try {
      return await readFile(path);
    } catch (error) {
      throw new SafelightError('FILE_NOT_FOUND', `The image '${path}' cannot be read any more`, {
        cause: error,
      });
    }
  }

  private async write(folder: string, name: string, data: Uint8Array): Promise<void> {
    if (!NAME.test(name))
      throw new SafelightError('INTERNAL', `${JSON.stringify(name)} is no name for a file`);
    const path = join(folder, name);
    const part = `${path}.${randomUUID()}.part`; // two may write the same at once
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(part, data);
      await rename(part, path);
    } catch (error) {
      await rm(part, { force: true }).catch(() => undefined);
      throw notWritten(path, error);
    }
  }
}

function notWritten(path: string, cause: unknown): SafelightError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SafelightError('FILE_NOT_WRITTEN', `Cannot write '${path}': ${why}`, { cause });
}

/** Files that a run reads and writes. */
export type JobFiles = Pick<DataFolder, 'readInput' | 'writeResult'>;
/** Files of a request, whose images are stored when it is submitted, and may be those of an earlier job. */
export type RequestFiles = Pick<DataFolder, 'writeInput' | 'readInput' | 'readResult'>;
