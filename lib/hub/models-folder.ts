/** The folder of models from other sources than the hub. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { filesUnder } from './cache.js';
import { infoOf } from './civitai.js';
import { adapterFolders, type FoundModel, findModels, upscalerFolders } from './find-models.js';
import { parsedJson } from './json.js';

export interface ModelFile {
  /** Path of a file, or of a folder that is one model. */
  readonly path: string;
  readonly form: FoundModel['form'];
  /** The relative path without its extension, with `/`. */
  readonly name: string;
  readonly bytes: number;
  /** Version id of a file from Civitai. */
  readonly civitai: number | undefined;
}

/** Returns every model below the folder, as `serve --models` does, adapters and upscalers; empty if it does not exist. */
export async function modelFiles(folder: string): Promise<ModelFile[]> {
  const others = [...new Set([...Object.values(adapterFolders), ...upscalerFolders])];
  const adapters = others.map((name) => filesIn(join(folder, name), `${name}/`));
  const models = (await Promise.all([filesIn(folder, ''), ...adapters])).flat();
  return Promise.all(
    models.map(async ({ path, name, form }) => ({
      ...{ path, form, name, bytes: await bytesOf(path, form) },
      civitai: form === 'file' ? await versionOf(path) : undefined,
    })),
  );
}

async function filesIn(folder: string, prefix: string): Promise<FoundModel[]> {
  const all = await findModels(folder).catch((): FoundModel[] => []);
  const below = all.filter(({ file }) => file !== '.');
  return below.map((model) => ({ ...model, file: prefix + model.file, name: prefix + model.name }));
}

/** Returns the last part of a model's name, a valid name if it is unique. */
export function shortName({ name }: Pick<ModelFile, 'name'>): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

async function bytesOf(path: string, form: FoundModel['form']): Promise<number> {
  const files = form === 'file' ? [path] : await filesUnder(path);
  const sizes = await Promise.all(files.map((file) => stat(file).catch(() => undefined)));
  return sizes.reduce((sum, info) => sum + (info?.isFile() ? info.size : 0), 0);
}

async function versionOf(path: string): Promise<number | undefined> {
  const text = await readFile(infoOf(path), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const info = parsedJson(text);
  return typeof info === 'object' && info !== null && 'id' in info && Number.isInteger(info.id)
    ? Number(info.id)
    : undefined;
}
