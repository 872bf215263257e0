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
  const isReadable = !problems.some(({ data }) => data.folder === 'hub');
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
  const { problem } = await folderState(folder.path);
  if (!problem) return [];
  const { label, name, path } = folder;
  const where = problem.path === path ? '' : `, because ${quoted(problem.path)}`;
  const clause = where === '' ? ` ${problem.text}` : ` cannot be created${where} ${problem.text}`;
  const data = { folder: name, path, code: problem.code };
  return [fault(`The ${label} ${quoted(path)}${clause}`, repair(environment, folder, problem), { data })];
}

/** Returns the command that makes a folder usable. */
function repair(
  { env, platform, options }: DoctorEnvironment,
  { name, variable }: UsedFolder,
  { code, path }: NonNullable<FolderState['problem']>,
): string {
  const isDenied = code === 'EACCES' || code === 'EPERM';
  if (isDenied && platform !== 'win32') return `sudo chown -R "$(id -un)" ${quoted(path)}`;
  if (isDenied) return `icacls ${quoted(path, platform)} /grant "%USERNAME%":(OI)(CI)F`;
  // Another folder is needed: a file is in its place, or the file system is read-only or failing.
  if (name === 'data' && options.data !== undefined) return 'npx safelight serve --data ./data';
  if (env[variable]) return platform === 'win32' ? `set ${variable}=` : `unset ${variable}`;
  if (code === 'ENOTDIR')
    return `${platform === 'win32' ? 'move' : 'mv'} ${quoted(path, platform)} ${quoted(`${path}.old`, platform)}`;
  return platform === 'win32' ? `set ${variable}=%TEMP%\\safelight` : `export ${variable}=/var/tmp/safelight`;
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
