/** Lists and removes downloaded models. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { invalidOption, SafelightError } from '../errors.js';
import { removeFile } from '../files/replace.js';
import { RepositoryCache as Cache, cachedRepositories, type RepositoryCache } from './cache.js';
import { civitaiVersion, infoOf } from './civitai.js';
import { cacheFolder, checkEnvironment, type Environment, modelsFolder } from './environment.js';
import { type ModelFile, modelFiles, shortName } from './models-folder.js';
import { parseRepository } from './names.js';
import { removeTriggerWords } from './trigger-words.js';

export interface DownloadedModel {
  /** The name with which `Pipeline.load` opens it. */
  readonly name: string;
  readonly source: 'hub' | 'civitai' | 'file';
  readonly path: string;
  /** Bytes on disk. Revisions of a repository share files, so each states the size of the complete repository. */
  readonly bytes: number;
  /** The commit of a repository, and the branches and tags that refer to it. */
  readonly commit?: string;
  readonly revisions?: readonly string[];
}

/** Returns the repositories of the Hugging Face cache (of any client) and the files of the models folder. */
export async function listModels(env: Environment = process.env): Promise<DownloadedModel[]> {
  checkEnvironment(env);
  const models: DownloadedModel[] = [];
  for (const cache of await cachedRepositories(cacheFolder(env))) {
    const refs = await cache.refs();
    const bytes = await cache.bytes();
    for (const commit of await cache.commits()) {
      const revisions = [...refs].filter(([, at]) => at === commit).map(([name]) => name);
      const main = revisions.includes('main');
      const name = main ? cache.id : `${cache.id}@${revisions[0] ?? commit.slice(0, 12)}`;
      models.push({ name, source: 'hub', path: cache.snapshot(commit), bytes, commit, revisions });
    }
  }
  const files = await modelFiles(modelsFolder(env));
  for (const file of files) {
    const { path, bytes, civitai } = file;
    // The short name if it is unique, else the path below the models folder.
    const alone = files.filter((other) => shortName(other) === shortName(file)).length === 1;
    const name = alone ? shortName(file) : file.name;
    if (civitai === undefined) models.push({ name, source: 'file', path, bytes });
    else models.push({ name: `civitai:${civitai}`, source: 'civitai', path, bytes });
  }
  return models;
}

/**
 * Removes a downloaded model: a repository (`owner/name` with all revisions, or `owner/name@revision` with what only it
 * uses), or a file of the models folder, by `civitai:VERSION_ID` or by its name.
 * @returns the number of freed bytes
 * @throws MODEL_NOT_FOUND, INVALID_OPTION for a name with several matches or a folder that was not downloaded
 */
export async function removeModel(name: string, env: Environment = process.env): Promise<number> {
  if (typeof name !== 'string' || name === '')
    throw invalidOption('model', 'the name of a downloaded model', name);
  checkEnvironment(env);
  const repository = parseRepository(name);
  const files = await modelFiles(modelsFolder(env));
  const isFile = repository?.revision === undefined && files.some((file) => file.name === name);
  if (repository && !isFile)
    return removeRepository(new Cache(cacheFolder(env), repository.id), name, repository.revision);
  const { path, bytes } = fileNamed(name, files);
  await removeFile(path);
  const info = await readFile(infoOf(path), 'utf8').catch(() => '');
  await removeTriggerWords(path, info);
  await removeFile(infoOf(path), { force: true });
  return bytes;
}

/**
 * Returns the file of the models folder with this name.
 * @throws MODEL_NOT_FOUND, INVALID_OPTION for several, or for a folder
 */
function fileNamed(name: string, files: readonly ModelFile[]): ModelFile {
  const version = civitaiVersion(name);
  const exact = files.filter((file) =>
    version === undefined ? file.name === name : file.civitai === version,
  );
  const near = files.filter((file) => shortName(file) === name || basename(file.path) === name);
  const [match, ...more] = exact.length > 0 || version !== undefined ? exact : near;
  if (!match) throw missing(name);
  if (more.length > 0 && version === undefined)
    throw new SafelightError(
      'INVALID_OPTION',
      `Several models have the name '${name}': name one of ${[match, ...more].map((file) => file.name).join(', ')}`,
    );
  if (match.form === 'folder')
    throw new SafelightError(
      'INVALID_OPTION',
      `'${match.path}' is a folder that was not downloaded by Safelight; remove it yourself`,
    );
  return match;
}

async function removeRepository(
  cache: RepositoryCache,
  name: string,
  revision: string | undefined,
): Promise<number> {
  const commits = await cache.commits();
  if (commits.length === 0) throw missing(name);
  if (revision === undefined) {
    let freed = 0;
    for (const commit of commits) freed += await cache.remove(commit);
    return freed;
  }
  const snapshot = await cache.find(revision);
  const commit =
    snapshot?.commit ?? commits.find((candidate) => revision.length >= 7 && candidate.startsWith(revision));
  if (commit === undefined) throw missing(name);
  return cache.remove(commit);
}

function missing(name: string): SafelightError {
  return new SafelightError(
    'MODEL_NOT_FOUND',
    `There is no downloaded model '${name}'; \`safelight models\` lists them`,
  );
}
