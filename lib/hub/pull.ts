/** Downloads a repository of the Hugging Face hub into its standard cache. */

import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { defined } from '../defined.js';
import { aborted, invalidOption, SafelightError } from '../errors.js';
import { RepositoryCache } from './cache.js';
import { type Choice, chooseFiles } from './choose-files.js';
import { HttpFailure } from './download/http.js';
import { checkRoom, Session } from './download/session.js';
import { partialOf, transfer } from './download/transfer.js';
import { cacheFolder, endpoint, hubToken, isOffline } from './environment.js';
import { withLock } from './lock.js';
import { parseRepository } from './names.js';
import { type RemoteFile, Repository } from './repository.js';
import type { PullOptions, PullResult } from './types.js';

export interface PullRepositoryOptions extends PullOptions {
  /** Patterns of files to download (`*.safetensors`, `unet/`). Default the files that Safelight needs. */
  readonly include?: readonly string[];
  /** Variant of the weights, `NAME.VARIANT.safetensors`, such as `fp16`, for components that have it. */
  readonly variant?: string;
}

/**
 * Downloads a model from the hub: the components of a diffusers repository in safetensors, or the only checkpoint of
 * other repositories. Files are stored in the cache of Python's client, and verified against the hub's SHA-256 before
 * they are renamed into place. An interrupted download is resumed.
 *
 * @param name `owner/name` or `owner/name@revision`
 * @throws INVALID_OPTION, MODEL_NOT_FOUND, ACCESS_DENIED, UNSUPPORTED_MODEL (only pickles, or nothing readable),
 *   DOWNLOAD_FAILED, CHECKSUM_MISMATCH, FILE_NOT_WRITTEN, ABORTED
 */
export async function pullRepository(name: string, options: PullRepositoryOptions = {}): Promise<PullResult> {
  const parsed = parseRepository(name);
  if (!parsed) throw invalidOption('model', 'owner/name or owner/name@revision of the hub', name);
  const revision = parsed.revision ?? 'main';
  const include = parsed.file === undefined ? options.include : [parsed.file, ...(options.include ?? [])];
  try {
    const pull = new Pull(parsed.id, revision, { ...options, ...defined({ include }) });
    const result = await pull.run();
    return { ...result, name: parsed.revision === undefined ? parsed.id : `${parsed.id}@${revision}` };
  } catch (error) {
    if (options.signal?.aborted) throw aborted(options.signal.reason);
    throw error;
  }
}

class Pull {
  private readonly session: Session;
  private readonly cache: RepositoryCache;
  private readonly env;
  private token: string | undefined;

  constructor(
    private readonly id: string,
    private readonly revision: string,
    private readonly options: PullRepositoryOptions,
  ) {
    this.session = new Session(options);
    this.env = options.env ?? process.env;
    this.cache = new RepositoryCache(cacheFolder(this.env), id);
  }

  async run(): Promise<Omit<PullResult, 'name'>> {
    if (isOffline(this.env)) return this.offline();
    this.token = await hubToken(this.env);
    const repository = new Repository(this.id, this.revision, {
      ...this.session.connection(this.token),
      token: this.token,
      endpoint: endpoint(this.env),
    });
    const { commit, files } = await repository.list();
    await this.cache.prepare();
    const chosen = chooseFiles(this.id, files, await this.choice(repository, commit, files));
    const remote = await this.all(chosen, (path) => repository.stat(commit, path));
    const sizes = remote.map(({ size }) => size ?? 0);
    this.session.expect(remote.length, sum(sizes));
    await checkRoom(this.cache.folder, sum(await this.all(remote, (file) => this.missing(file))));
    await this.all(remote, (file) => this.get(repository, commit, file));
    // Written last, so that a revision in the cache is always complete.
    await this.cache.writeRef(this.revision, commit);
    return {
      path: this.cache.snapshot(commit),
      version: commit,
      files: chosen,
      bytes: sum(sizes),
      fetched: this.session.fetched,
    };
  }

  private async offline(): Promise<Omit<PullResult, 'name'>> {
    const snapshot = await this.cache.find(this.revision);
    if (!snapshot)
      throw new SafelightError(
        'DOWNLOAD_FAILED',
        `HF_HUB_OFFLINE is set and ${this.id}@${this.revision} is not in the cache; unset it to download`,
      );
    return { path: snapshot.path, version: snapshot.commit, files: [], bytes: 0, fetched: 0 };
  }

  /** Returns the choice of files; the index of a pipeline determines its components. */
  private async choice(repository: Repository, commit: string, files: readonly string[]): Promise<Choice> {
    const { include, variant, pickle } = this.options;
    if (include?.length || !files.includes('model_index.json')) return { include, variant, pickle };
    const index = await repository.stat(commit, 'model_index.json');
    await this.get(repository, commit, index, false);
    const components = await readComponents(this.cache.file(commit, 'model_index.json'));
    return { variant, pickle, components };
  }

  private async get(repository: Repository, commit: string, file: RemoteFile, counts = true): Promise<void> {
    const { etag, path, size } = file;
    const { cache, session, options } = this;
    let fetched = false;
    if (!(await this.has(file))) {
      await withLock(cache.lock(etag), options, async () => {
        if (await this.has(file)) return; // downloaded by another process
        fetched = true;
        const onBytes = (bytes: number, now: boolean) => counts && session.add(path, bytes, now);
        if (file.checksum === undefined)
          options.onNote?.(`${path}: the server states no checksum to verify it against`);
        await transfer(
          { ...file, name: `${path} of ${this.id}`, path: cache.blob(etag), tag: etag, onBytes },
          session.connection(this.token),
        ).catch((error: unknown) => {
          throw error instanceof HttpFailure ? repository.errorOf(`Downloading ${path}`, error) : error;
        });
      });
    }
    await cache.link(etag, commit, path);
    if (!counts) return;
    if (!fetched) session.add(path, size ?? 0, false);
    session.finished(path);
  }

  private async has({ etag, size }: RemoteFile): Promise<boolean> {
    const stats = await stat(this.cache.blob(etag)).catch(() => undefined);
    return stats?.isFile() === true && (size === undefined || stats.size === size);
  }

  /** Returns the number of bytes to download. */
  private async missing(file: RemoteFile): Promise<number> {
    if (file.size === undefined || (await this.has(file))) return 0;
    const partial = await stat(partialOf(this.cache.blob(file.etag))).catch(() => undefined);
    return Math.max(0, file.size - (partial?.blocks ?? 0) * 512);
  }

  /** Processes several items concurrently; rejects with the first failure after the others in progress have ended. */
  private async all<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
    let failed = false;
    const results = await Promise.allSettled(
      items.map((item) =>
        this.session.files.run(async () => {
          if (failed) throw undefined;
          try {
            return await work(item);
          } catch (error) {
            failed = true;
            throw error;
          }
        }),
      ),
    );
    for (const result of results)
      if (result.status === 'rejected' && result.reason !== undefined) throw result.reason;
    return results.map((result) => (result as PromiseFulfilledResult<R>).value);
  }
}

const indexSchema = z.record(z.string(), z.unknown());

/**
 * Returns the folders that `model_index.json` lists as `[library, class]`, without components that Safelight does not
 * use.
 */
async function readComponents(path: string): Promise<string[]> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new SafelightError('INVALID_FILE', `${path} is not valid JSON; choose files with --include`, {
      cause,
    });
  }
  const index = indexSchema.safeParse(json);
  if (!index.success)
    throw new SafelightError(
      'INVALID_FILE',
      `${path} is not the index of a pipeline; choose files with --include`,
    );
  const unused = new Set(['safety_checker', 'feature_extractor', 'image_encoder', 'watermark']);
  return Object.entries(index.data)
    .filter(
      ([name, value]) =>
        !name.startsWith('_') && !unused.has(name) && Array.isArray(value) && value[0] !== null,
    )
    .map(([name]) => name);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
