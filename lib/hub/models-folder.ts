/** The folder of models that came from elsewhere than the hub. */
import { readFile, stat } from 'node:fs/promises';
import { filesUnder } from './cache.js';
import { infoOf } from './civitai.js';
import { type FoundModel, findModels } from './find-models.js';
import { parsedJson } from './json.js';

export interface ModelFile {
  /** Path of a file, or of a folder that is one model. */
  readonly path: string;
  readonly form: FoundModel['form'];
  /** The relative path without its ending, with `/`. */
  readonly name: string;
  readonly bytes: number;
  /** Of a file from Civitai, the version's id. */
  readonly civitai: number | undefined;
}

/** Every model below the folder, as `serve --models` finds them; none where there is no folder. */
export async function modelFiles(folder: string): Promise<ModelFile[]> {
  const found = await findModels(folder).catch((): FoundModel[] => []);
  const models = found.filter(({ file }) => file !== '.');
  return Promise.all(
    models.map(async ({ path, name, form }) => ({
      ...{ path, form, name, bytes: await bytesOf(path, form) },
      civitai: form === 'file' ? await versionOf(path) : undefined,
    })),
  );
}

/** The last part of a model's name, by which it is found where no other has it. */
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
