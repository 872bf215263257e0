/** The models as A1111's checkpoints. */
import { basename, extname } from 'node:path';
import type { Catalog, CatalogModel } from '../../jobs/catalog.js';
import { failure } from './failures.js';

export interface Checkpoint {
  readonly title: string;
  readonly model_name: string;
  readonly hash: string | null;
  readonly sha256: string | null;
  readonly filename: string;
  readonly config: string | null;
}

export class Checkpoints {
  constructor(private readonly catalog: Catalog) {}

  /** Those that make pictures of prompts. Only the last part of a path is told. */
  list(): Checkpoint[] {
    return this.models().map((model) => ({
      ...{ title: titleOf(model), model_name: model.name, hash: null, sha256: null },
      ...{ filename: basename(model.path), config: null },
    }));
  }

  /** The configured name of a checkpoint by its title, its name, its file, in any case; a hash at its end is not looked at. */
  find = (asked: string): string => {
    const wanted = asked.replace(/\s*\[[0-9a-f]+\]\s*$/i, '').trim();
    const models = this.models();
    const same = (a: string): boolean => a.toLowerCase() === wanted.toLowerCase();
    const found =
      models.find(({ name }) => name === wanted) ??
      models.find((model) => same(model.name) || same(titleOf(model)) || same(basename(model.path)));
    if (found) return found.name;
    throw failure(
      404,
      `There is no checkpoint ${JSON.stringify(asked.slice(0, 200))}; there are: ${models.map(titleOf).join(', ')}`,
    );
  };

  /** The name that a setting stands for: the first model where it is empty, or of a model that is gone. */
  current(setting: string): string {
    return this.models().some(({ name }) => name === setting) ? setting : this.catalog.defaultModel;
  }

  title(name: string): string {
    const model = this.models().find((one) => one.name === name);
    return model ? titleOf(model) : name;
  }

  private models(): readonly CatalogModel[] {
    return this.catalog.models.filter(({ kind }) => kind === 'diffusion' || kind === undefined);
  }
}

/** The name, with its file's ending where it is one. */
function titleOf({ name, path }: CatalogModel): string {
  const ending = /\.(?:safetensors|gguf|ckpt|pt|pth|bin)$/i.test(path) ? extname(path) : '';
  return name + ending;
}
