/** What the name of a model means: a path, a repository in the cache, a file from Civitai. Nothing is asked of the network. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { invalidOption, SafelightError } from '../errors.js';
import { bundledModel } from './bundled.js';
import { RepositoryCache } from './cache.js';
import { civitaiVersion } from './civitai.js';
import { cacheFolder, checkEnvironment, type Environment, modelsFolder } from './environment.js';
import { weightsEnding } from './find-models.js';
import { modelFiles, shortName } from './models-folder.js';
import { parseRepository, type RepositoryName } from './names.js';

/**
 * The path behind a model's name. `starter` and `sketch` are the bundled models, whatever lies in the working folder (`./starter` names a
 * file or folder there). A path that exists is itself; then `owner/name[@revision][/file]` is looked for in the Hugging Face cache,
 * `civitai:VERSION_ID` and a bare name in the models folder; whatever else it is is given back as it came.
 *
 * @throws SafelightError MODEL_NOT_FOUND where it is the name of a model that was not downloaded, INVALID_OPTION where a repository holds several
 */
export async function locateModel(name: string, env: Environment = process.env): Promise<string> {
  if (typeof name !== 'string') throw invalidOption('model', 'path or name of a model', name);
  checkEnvironment(env);
  const bundled = bundledModel(name);
  if (bundled !== undefined) return bundled;
  if (name === '' || (await stat(name).catch(() => undefined))) return name;
  const version = civitaiVersion(name);
  if (version !== undefined) return civitaiFile(name, version, env);
  const repository = repositoryOf(name);
  if (repository) {
    const { id, revision, file } = repository;
    const found = await snapshotOf(new RepositoryCache(cacheFolder(env), id), revision);
    if (!found && file !== undefined && revision === undefined) return name; // a path of three parts, more likely
    // `owner/name` may be `folder/name` of the models folder as well.
    const match = found ? undefined : await inModelsFolder(name, env);
    if (match !== undefined) return match;
    if (!found) throw notPulled(name, revision === undefined ? id : `${id}@${revision}`);
    return file === undefined ? modelIn(found, name) : fileIn(found, file, name);
  }
  if (/^[\w.() -]+$/.test(name) && extname(name) === '') return (await inModelsFolder(name, env)) ?? name;
  return name;
}

/** The path of a model of the models folder: by its whole name, or by the last part of it. */
async function inModelsFolder(name: string, env: Environment): Promise<string | undefined> {
  const files = await modelFiles(modelsFolder(env));
  return (files.find((file) => file.name === name) ?? files.find((file) => shortName(file) === name))?.path;
}

/** Whether it names a repository or a version of Civitai's, unless it is a path that exists. */
export function isModelName(name: string): boolean {
  return civitaiVersion(name) !== undefined || repositoryOf(name) !== undefined;
}

/** `models/sd15.safetensors` is a path that is not there, not a repository. */
function repositoryOf(name: string): RepositoryName | undefined {
  const repository = parseRepository(name);
  return repository && !weightsEnding.test(repository.id) ? repository : undefined;
}

/** The revision's folder; without one `main`'s, or the only one there is. */
async function snapshotOf(cache: RepositoryCache, revision: string | undefined): Promise<string | undefined> {
  const found = await cache.find(revision ?? 'main');
  if (found) return found.path;
  const commits = await cache.commits();
  // A shortened commit, as people copy it; or what another client fetched by its commit.
  const matches = revision === undefined ? commits : commits.filter((commit) => commit.startsWith(revision));
  return matches.length === 1 && (revision === undefined || revision.length >= 7)
    ? cache.snapshot(matches[0]!)
    : undefined;
}

/** A folder in a form that is read as a folder, or its one file of weights (of shards, their index). */
async function modelIn(folder: string, name: string): Promise<string> {
  const files = await readdir(folder, { withFileTypes: true });
  const names = files.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
  if (names.includes('model_index.json') || names.includes('config.json')) return folder;
  const weights = names.filter((file) => weightsEnding.test(file));
  const safe = weights.filter((file) => /\.(?:safetensors|gguf)$/i.test(file));
  const choice = safe.length > 0 ? safe : weights;
  const indexes = names.filter((file) => /\.(?:safetensors|bin)\.index\.json$/.test(file));
  if (indexes.length === 1 && choice.every((file) => /-\d{5}-of-\d{5}\./.test(file)))
    return join(folder, indexes[0]!);
  if (choice.length > 1)
    throw new SafelightError(
      'INVALID_OPTION',
      `${name} holds several models; name one: ${choice
        .slice(0, 8)
        .map((file) => `${name}/${file}`)
        .join(', ')}`,
    );
  return choice.length === 1 ? join(folder, choice[0]!) : folder;
}

async function fileIn(folder: string, file: string, name: string): Promise<string> {
  const path = join(folder, ...file.split('/'));
  if (await stat(path).catch(() => undefined)) return path;
  const id = name.slice(0, name.length - file.length - 1);
  throw new SafelightError(
    'MODEL_NOT_FOUND',
    `'${file}' of ${id} is not in the cache: download it with \`safelight pull ${id} --include '${file}'\``,
  );
}

async function civitaiFile(name: string, version: number, env: Environment): Promise<string> {
  const files = await modelFiles(modelsFolder(env));
  const match = files.find(({ civitai }) => civitai === version);
  if (!match) throw notPulled(name, name);
  return match.path;
}

function notPulled(name: string, wanted: string): SafelightError {
  return new SafelightError(
    'MODEL_NOT_FOUND',
    `'${name}' is neither a file or folder here nor a downloaded model: \`safelight pull ${wanted}\` downloads it`,
  );
}
