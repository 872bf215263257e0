/** Resolves the name of a model: a path, a repository in the cache, a file from Civitai. Makes no network requests. */
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
 * Returns the path of a model by name. `starter` and `sketch` are the bundled models, whatever the working folder
 * contains (`./starter` names a file or folder there). An existing path is returned unchanged.
 * `owner/name[@revision][/file]` is looked up in the Hugging Face cache, `civitai:VERSION_ID` and a bare name in the
 * models folder; any other name is returned unchanged.
 *
 * @throws MODEL_NOT_FOUND for the name of a model that is not downloaded, INVALID_OPTION for a repository of several
 *   models
 */
export async function locateModel(name: string, env: Environment = process.env): Promise<string> {
  if (typeof name !== 'string') throw invalidOption('model', 'the path or name of a model', name);
  checkEnvironment(env);
  const bundled = bundledModel(name);
  if (bundled !== undefined) return bundled;
  if (name === '' || (await stat(name).catch(() => undefined))) return name;
  const version = civitaiVersion(name);
  if (version !== undefined) return civitaiFile(name, version, env);
  const repository = repositoryOf(name);
  if (repository) {
    const { id, revision, file } = repository;
    const snapshot = await snapshotOf(new RepositoryCache(cacheFolder(env), id), revision);
    if (!snapshot && file !== undefined && revision === undefined) return name; // more likely a path of three parts
    // `owner/name` can also be `folder/name` of the models folder.
    const match = snapshot ? undefined : await inModelsFolder(name, env);
    if (match !== undefined) return match;
    if (!snapshot) throw notPulled(name, revision === undefined ? id : `${id}@${revision}`);
    return file === undefined ? modelIn(snapshot, name) : fileIn(snapshot, file, name);
  }
  if (/^[\w.() -]+$/.test(name) && extname(name) === '') return (await inModelsFolder(name, env)) ?? name;
  return name;
}

/** Returns the path of a model in the models folder, by its full name or the last part of it. */
async function inModelsFolder(name: string, env: Environment): Promise<string | undefined> {
  const files = await modelFiles(modelsFolder(env));
  return (files.find((file) => file.name === name) ?? files.find((file) => shortName(file) === name))?.path;
}

/** Returns true for a repository or a Civitai version, unless a path of that name exists. */
export function isModelName(name: string): boolean {
  return civitaiVersion(name) !== undefined || repositoryOf(name) !== undefined;
}

/** Parses a repository name; `models/sd15.safetensors` is a missing path rather than a repository. */
function repositoryOf(name: string): RepositoryName | undefined {
  const repository = parseRepository(name);
  return repository && !weightsEnding.test(repository.id) ? repository : undefined;
}

/** Returns the folder of a revision; without a revision that of `main`, or of the only commit. */
async function snapshotOf(cache: RepositoryCache, revision: string | undefined): Promise<string | undefined> {
  const snapshot = await cache.find(revision ?? 'main');
  if (snapshot) return snapshot.path;
  const commits = await cache.commits();
  // An abbreviated commit, or a commit that another client downloaded without a ref.
  const matches = revision === undefined ? commits : commits.filter((commit) => commit.startsWith(revision));
  return matches.length === 1 && (revision === undefined || revision.length >= 7)
    ? cache.snapshot(matches[0]!)
    : undefined;
}

/** Returns the folder if its layout is supported, else its only weights file or shard index. */
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
      `${name} contains several models; name one: ${choice
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

function notPulled(name: string, repository: string): SafelightError {
  return new SafelightError(
    'MODEL_NOT_FOUND',
    `'${name}' is neither a file or folder nor a downloaded model: \`safelight pull ${repository}\` downloads it`,
  );
}
