/**
 * The Hugging Face cache on disk, shared with Python's client: `models--OWNER--NAME/` with `blobs/ETAG`,
 * `refs/REVISION` (contains a commit) and `snapshots/COMMIT/PATH` (links to the blobs).
 */
import { copyFile, lstat, mkdir, readdir, readFile, rmdir, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { SafelightError } from '../errors.js';
import { removeFile, renameFile } from '../files/replace.js';
import { isRepositoryId } from './names.js';

const COMMIT = /^[0-9a-f]{40}$/;
const TAG =
  'Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache: backups may leave it out (https://bford.info/cachedir/).\n';

export class RepositoryCache {
  readonly folder: string;
  private readonly locks: string;

  /** @param cache path of the cache folder @param id `owner/name` */
  constructor(
    private readonly cache: string,
    readonly id: string,
  ) {
    const name = `models--${id.replace('/', '--')}`;
    this.folder = join(cache, name);
    this.locks = join(cache, '.locks', name);
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag);
  }

  lock(etag: string): string {
    return join(this.locks, `${etag}.lock`);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** Returns the path of a file of a commit. */
  file(commit: string, path: string): string {
    return join(this.snapshot(commit), ...path.split('/'));
  }

  /** Returns the folder of a downloaded revision: a branch or tag by its ref, or a commit. */
  async find(revision: string): Promise<{ commit: string; path: string } | undefined> {
    const ref = await readFile(join(this.folder, 'refs', ...revision.split('/')), 'utf8').catch(
      () => undefined,
    );
    const commit = ref?.trim() ?? revision;
    if (!COMMIT.test(commit)) return undefined;
    const path = this.snapshot(commit);
    const stats = await stat(path).catch(() => undefined);
    return stats?.isDirectory() ? { commit, path } : undefined;
  }

  /** Creates the folder and marks it as a cache. */
  async prepare(): Promise<void> {
    await mkdir(join(this.folder, 'blobs'), { recursive: true });
    await writeFile(join(this.cache, 'CACHEDIR.TAG'), TAG, { flag: 'wx' }).catch(() => undefined);
  }

  /** Links a blob into a commit's folder, or copies it if the file system has no links. */
  async link(etag: string, commit: string, path: string): Promise<void> {
    const [blob, file] = [this.blob(etag), this.file(commit, path)];
    const target = relative(dirname(file), blob);
    await mkdir(dirname(file), { recursive: true });
    const temporary = `${file}.${process.pid}.new`;
    await removeFile(temporary, { force: true });
    try {
      await symlink(target, temporary);
    } catch (error) {
      if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(`${(error as NodeJS.ErrnoException).code}`))
        throw error;
      await copyFile(blob, temporary);
    }
    await renameFile(temporary, file);
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if (COMMIT.test(revision)) return;
    const path = join(this.folder, 'refs', ...revision.split('/'));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.${process.pid}.new`, commit);
    await renameFile(`${path}.${process.pid}.new`, path);
  }

  /** Returns the commits of branches and tags. */
  async refs(): Promise<Map<string, string>> {
    const commits = new Map<string, string>();
    for (const path of await filesUnder(join(this.folder, 'refs'))) {
      const commit = (await readFile(path, 'utf8').catch(() => '')).trim();
      if (COMMIT.test(commit)) commits.set(slashes(relative(join(this.folder, 'refs'), path)), commit);
    }
    return commits;
  }

  async commits(): Promise<string[]> {
    const names = await readdir(join(this.folder, 'snapshots')).catch(() => []);
    return names.filter((name) => COMMIT.test(name));
  }

  /** Returns the bytes of its files on disk, counting each blob once. */
  async bytes(): Promise<number> {
    let sum = 0;
    for (const folder of ['blobs', 'snapshots'])
      for (const path of await filesUnder(join(this.folder, folder))) {
        const stats = await lstat(path).catch(() => undefined);
        if (stats?.isFile()) sum += path.endsWith('-part') ? stats.blocks * 512 : stats.size;
      }
    return sum;
  }

  /** Removes a commit, the blobs that only it uses, and its refs. @returns the number of freed bytes */
  async remove(commit: string): Promise<number> {
    const before = await this.bytes();
    await removeFile(this.snapshot(commit), { recursive: true, force: true });
    for (const [name, at] of await this.refs())
      if (at === commit) await removeFile(join(this.folder, 'refs', ...name.split('/')), { force: true });
    if ((await this.commits()).length === 0) {
      await removeFile(this.folder, { recursive: true, force: true });
      await removeFile(this.locks, { recursive: true, force: true });
      return before;
    }
    await this.removeUnused();
    return before - (await this.bytes());
  }

  private async removeUnused(): Promise<void> {
    const used = new Set<string>();
    for (const path of await filesUnder(join(this.folder, 'snapshots'))) {
      const stats = await stat(path).catch(() => undefined);
      if (stats) used.add(`${stats.dev}:${stats.ino}`);
    }
    for (const path of await filesUnder(join(this.folder, 'blobs'))) {
      const stats = await stat(path).catch(() => undefined);
      if (stats && !used.has(`${stats.dev}:${stats.ino}`)) await removeFile(path, { force: true });
    }
    await rmdir(join(this.folder, 'blobs')).catch(() => undefined);
  }
}

/** Returns the repositories in a cache, sorted by name. */
export async function cachedRepositories(cache: string): Promise<RepositoryCache[]> {
  const names = await readdir(cache).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw new SafelightError('FILE_NOT_FOUND', `The cache '${cache}' cannot be read: ${error.message}`, {
      cause: error,
    });
  });
  return names
    .filter((name) => name.startsWith('models--'))
    .map((name) => name.slice('models--'.length).replace('--', '/'))
    .filter(isRepositoryId)
    .sort()
    .map((id) => new RepositoryCache(cache, id));
}

/** Returns the paths of files (and links to files) below a folder; empty if it does not exist. */
export async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

function slashes(path: string): string {
  return sep === '/' ? path : path.replaceAll(sep, '/');
}
