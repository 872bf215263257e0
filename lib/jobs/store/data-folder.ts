/**
 * Data folder with the files of jobs: results in `jobs/ID/NAME` and images of requests in `jobs/ID/inputs/NAME`.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SafelightError } from '../../errors.js';
import { removeFile, renameFile } from '../../files/replace.js';
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

  /** Returns the path of a job's result; undefined if the file does not exist. */
  async result(id: string, name: string): Promise<string | undefined> {
    const path = this.resultPath(id, name);
    const info = path === undefined ? undefined : await stat(path).catch(() => undefined);
    return info?.isFile() ? path : undefined;
  }

  /** Writes a result atomically, replacing a file of the same name. @throws FILE_NOT_WRITTEN */
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
      throw new SafelightError('FILE_NOT_FOUND', `No job has an input named ${JSON.stringify(name)}`);
    return this.read(join(this.path, 'jobs', id, 'inputs', name));
  }

  /** @throws FILE_NOT_FOUND */
  async readResult(id: string, name: string): Promise<Uint8Array> {
    const path = this.resultPath(id, name);
    if (!path)
      throw new SafelightError('FILE_NOT_FOUND', `No job has a result named ${JSON.stringify(name)}`);
    return this.read(path);
  }

  /** Removes all files of a job. */
  async remove(id: string): Promise<void> {
    if (!isId(id)) return;
    // Retried in case a file is written in the meantime.
    const retries = { maxRetries: 5, retryDelay: 20 };
    await removeFile(join(this.path, 'jobs', id), { recursive: true, force: true, ...retries });
  }

  /** Returns undefined for an invalid id or name. */
  private resultPath(id: string, name: string): string | undefined {
    return isId(id) && NAME.test(name) ? join(this.path, 'jobs', id, name) : undefined;
  }

  private async read(path: string): Promise<Uint8Array> {
    try {
      return await readFile(path);
    } catch (error) {
      throw new SafelightError('FILE_NOT_FOUND', `The image '${path}' no longer exists or cannot be read`, {
        cause: error,
      });
    }
  }

  private async write(folder: string, name: string, data: Uint8Array): Promise<void> {
    if (!NAME.test(name))
      throw new SafelightError('INTERNAL', `${JSON.stringify(name)} is not a valid file name`);
    const path = join(folder, name);
    const part = `${path}.${randomUUID()}.part`; // two writers may write the same file concurrently
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(part, data, { flush: true });
      await renameFile(part, path);
    } catch (error) {
      await removeFile(part, { force: true }).catch(() => undefined);
      throw notWritten(path, error);
    }
  }
}

function notWritten(path: string, cause: unknown): SafelightError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SafelightError('FILE_NOT_WRITTEN', `Cannot write '${path}': ${reason}`, { cause });
}

/** File access of a run, which may read the results of an earlier attempt at its job. */
export type JobFiles = Pick<DataFolder, 'readInput' | 'readResult' | 'writeResult'>;
/** File access of a submission, which stores the request's images and may read those of an earlier job. */
export type RequestFiles = Pick<DataFolder, 'writeInput' | 'readInput' | 'readResult'>;
