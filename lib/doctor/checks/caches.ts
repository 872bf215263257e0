/** Checks that the caches and the data folder can be read and written, and looks for unfinished downloads. */
import { readdir, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { cachedRepositories, filesUnder, type RepositoryCache } from '../../hub/cache.js';
import { shownBytes } from '../../modules/memory-fit.js';
import type { DoctorEnvironment } from '../environment.js';
import { counted, fault, ok, type Result, reasonOf, warning } from '../finding.js';
import { type FolderState, folderState, type UsedFolder, usedFolders } from '../folders.js';
import { quoted } from '../installed.js';

/** Age in milliseconds after which a download that is not written to is considered unfinished. */
const IDLE = 60_000;
/** Names of partial files: Safelight's, and those of huggingface_hub. */
const PARTIAL = /\.(?:safelight-part|incomplete)$/;

export async function checkCaches(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const folders = usedFolders(environment);
  const results = await Promise.all(folders.map((folder) => checkFolder(environment, folder)));
  const problems = results.flat();
  const [hub, , , models] = folders as [UsedFolder, UsedFolder, UsedFolder, UsedFolder];
  const isReadable = !problems.some(({ status, data }) => status === 'fault' && data.folder === 'hub');
  const repositories = isReadable ? await cachedRepositories(hub.path) : [];
  for (const repository of repositories) problems.push(...(await checkRepository(environment, repository)));
  problems.push(...(await partialFiles(models.path, () => undefined)));
  const details = folders.map(({ label, path }) => `${label}: ${path}`);
  const data = Object.fromEntries(folders.map(({ name, path }) => [name, path]));
  const message = `${counted(repositories.length, 'model')} of the hub in the cache`;
  const facts = { details, data: { ...data, repositories: repositories.map(({ id }) => id) } };
  return problems.some(({ status }) => status === 'fault') ? problems : [ok(message, facts), ...problems];
}

async function checkFolder(environment: DoctorEnvironment, folder: UsedFolder): Promise<readonly Result[]> {
  const { problem, exists } = await folderState(folder.path);
  if (!problem) return [];
  const { label, name, path } = folder;
  const clause = exists ? problem.text : `cannot be created, because ${quoted(problem.path)} ${problem.text}`;
  const message = `The ${label} ${quoted(path)} ${clause}`;
  const command = repair(environment, folder, problem, exists);
  const facts = { data: { folder: name, path, code: problem.code } };
  // Models can be used from a folder to which they cannot be downloaded, such as a read-only mount.
  return [
    problem.readable && name !== 'data' ? warning(message, command, facts) : fault(message, command, facts),
  ];
}

/** Returns the command that makes a folder usable. */
function repair(
  { env, platform, options }: DoctorEnvironment,
  { name, variable, path }: UsedFolder,
  problem: NonNullable<FolderState['problem']>,
  exists: boolean,
): string {
  const isWindows = platform === 'win32';
  const isDenied = problem.code === 'EACCES' || problem.code === 'EPERM';
  // Not for a folder such as /srv, which other programs use too.
  const isOwn = path.split(sep).filter((part) => part !== '').length > 2;
  if (isDenied && isOwn && isWindows) return `icacls ${quoted(path, platform)} /grant "%USERNAME%":(OI)(CI)F`;
  if (isDenied && isOwn && exists) return `sudo chown -R "$(id -un)" ${quoted(path)}`;
  if (isDenied && isOwn) return `sudo install -d -o "$(id -un)" ${quoted(path)}`;
  // Another folder is needed: a file is in its place, or the file system is read-only or failing.
  if (name === 'data' && options.data !== undefined) return 'npx safelight serve --data ./data';
  if (name === 'models' && options.models !== undefined) return 'npx safelight serve --models ./models';
  if (env[variable]) return isWindows ? `set ${variable}=` : `unset ${variable}`;
  const { path: inTheWay } = problem;
  if (problem.code === 'ENOTDIR')
    return `${isWindows ? 'move' : 'mv'} ${quoted(inTheWay, platform)} ${quoted(`${inTheWay}.old`, platform)}`;
  return isWindows ? `set ${variable}=%TEMP%\\safelight` : `export ${variable}=/var/tmp/safelight`;
}

/** Looks for unreadable folders, partial downloads and missing files of one repository. */
async function checkRepository(
  { platform }: DoctorEnvironment,
  repository: RepositoryCache,
): Promise<readonly Result[]> {
  const { id, folder } = repository;
  const pull = `npx safelight pull ${id}`;
  for (const path of [folder, join(folder, 'snapshots'), join(folder, 'blobs')])
    try {
      await readdir(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      const command = platform === 'win32' ? pull : `sudo chown -R "$(id -un)" ${quoted(folder)}`;
      return [fault(`${quoted(path)} cannot be read (${reasonOf(error)})`, command, { data: { id, path } })];
    }
  const results = [...(await partialFiles(join(folder, 'blobs'), () => pull))];
  for (const commit of await repository.commits()) {
    const missing = await danglingLinks(repository.snapshot(commit));
    if (missing.length === 0) continue;
    const message = `${id} lacks ${counted(missing.length, 'file')} to which its snapshot refers`;
    results.push(warning(message, pull, { details: missing, data: { id, commit } }));
  }
  return results;
}

async function danglingLinks(snapshot: string): Promise<string[]> {
  const missing: string[] = [];
  for (const path of await filesUnder(snapshot)) {
    const exists = await stat(path).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
    );
    if (!exists) missing.push(relative(snapshot, path).replaceAll(sep, '/'));
  }
  return missing;
}

/**
 * Returns a warning for the partial files of a folder that nothing writes to.
 * @param resume returns the command that continues the download of a file; undefined: it is removed
 */
async function partialFiles(
  folder: string,
  resume: (path: string) => string | undefined,
): Promise<readonly Result[]> {
  const found: { readonly path: string; readonly bytes: number }[] = [];
  for (const path of await filesUnder(folder)) {
    if (!PARTIAL.test(path)) continue;
    const info = await stat(path).catch(() => undefined);
    if (!info?.isFile() || Date.now() - info.mtimeMs < IDLE) continue;
    // Partial files are sparse.
    found.push({ path, bytes: info.blocks > 0 ? info.blocks * 512 : info.size });
  }
  const [first] = found;
  if (!first) return [];
  const bytes = found.reduce((sum, file) => sum + file.bytes, 0);
  return [
    warning(
      `${counted(found.length, 'unfinished download')} in ${quoted(folder)} (${shownBytes(bytes)})`,
      resume(first.path) ?? `rm ${found.map(({ path }) => quoted(path)).join(' ')}`,
      { details: found.map(({ path }) => basename(path)), data: { folder, bytes } },
    ),
  ];
}
