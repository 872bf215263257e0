/** The models as A1111's checkpoints. */
import { basename, extname } from 'node:path';
import type { Catalog, CatalogModel } from '../../jobs/models/catalog.js';
import { failure, quoted } from './failures.js';
import { mostAlike } from './likeness.js';

export interface Checkpoint {
  readonly title: string;
  readonly model_name: string;
  readonly hash: string | null;
  readonly sha256: string | null;
  readonly filename: string;
  readonly config: string | null;
}

/** A model of a folder of models also has its path below the folder, such as `sub/name.safetensors`. */
type Model = CatalogModel & { readonly file?: string | undefined };

/** Titles that an error lists. */
const MOST_LISTED = 20;

export class Checkpoints {
  constructor(private readonly catalog: Pick<Catalog, 'models' | 'defaultModel'>) {}

  /** Those that make pictures of prompts. Of a path only what lies below the folder of models is told, or its last part. */
  list(): Checkpoint[] {
    return this.models().map((model) => ({
      ...{ title: titleOf(model), model_name: model.name, hash: null, sha256: null },
      ...{ filename: model.file ?? basename(model.path), config: null },
    }));
  }

  /**
   * The configured name of a checkpoint by what clients send for it: its title, its name, its file, with or without folder and ending, in
   * any case, with `/` or `\`; a hash at its end is not looked at.
   * @param field for the error. @throws 422 for one that there is not, and for a name that several models have
   */
  find = (asked: string, field = 'sd_model_checkpoint'): string => {
    const models = this.models();
    for (const wanted of new Set([asked, withoutHash(asked)])) {
      const exact = models.find(({ name }) => name === wanted) ?? models.find((m) => titleOf(m) === wanted);
      if (exact) return exact.name;
    }
    const wanted = plain(withoutHash(asked));
    const found = this.named(wanted) ?? this.named(wanted.replace(ENDING, ''));
    if (found?.length === 1) return found[0]!.name;
    if (found) {
      const titles = found.map(titleOf).join(', ');
      throw failure(422, `${field}: ${quoted(asked)} stands for several checkpoints: ${titles}`);
    }
    throw failure(422, `${field}: there is no checkpoint ${quoted(asked)}. ${this.instead(wanted)}`);
  };

  /** The name that a setting stands for: the first model where it is empty, or of a model that is gone. */
  current(setting: string): string {
    return this.models().some(({ name }) => name === setting) ? setting : this.catalog.defaultModel;
  }

  title(name: string): string {
    const model = this.models().find((one) => one.name === name);
    return model ? titleOf(model) : name;
  }

  /** Those of a whole name, else those whose names end in it, such as `name` of `sub/name`. */
  private named(wanted: string): readonly Model[] | undefined {
    if (wanted === '') return undefined;
    const whole = this.models().filter((model) => namesOf(model).includes(wanted));
    const last = this.models().filter((model) => namesOf(model).some((name) => name.endsWith(`/${wanted}`)));
    return [whole, last].find((those) => those.length > 0);
  }

  private instead(wanted: string): string {
    const titles = this.models().map(titleOf);
    if (titles.length === 0) return 'There are none here';
    const { near, all } = mostAlike(wanted, titles);
    const listed = all.slice(0, MOST_LISTED).join(', ');
    const more =
      all.length > MOST_LISTED ? ` and ${all.length - MOST_LISTED} more (/sdapi/v1/sd-models)` : '';
    return `${near.length > 0 ? `Did you mean ${near.join(' or ')}? ` : ''}There are: ${listed}${more}`;
  }

  private models(): readonly Model[] {
    return this.catalog.models.filter(({ kind }) => kind === 'diffusion' || kind === undefined);
  }
}

const ENDING = /\.(?:safetensors|gguf|ckpt|pt|pth|bin)$/i;

/** The file of a model in a folder of models; else the name, with its file's ending where it is one. */
function titleOf({ name, path, file }: Model): string {
  if (file !== undefined) return file;
  const ending = ENDING.test(path) ? extname(path) : '';
  return name.toLowerCase().endsWith(ending.toLowerCase()) ? name : name + ending;
}

function withoutHash(name: string): string {
  return name.replace(/\s*\[[0-9a-f]+\]\s*$/i, '').trim();
}

/** The same for all spellings of a path. */
function plain(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replaceAll('\\', '/')
    .replace(/^(?:\.?\/)+/, ''); // `./name`, and A1111's titles on Windows, which begin with `\`
}

/** Names of a model with their folders, with and without the ending of the file. */
function namesOf(model: Model): string[] {
  const names = [model.name, titleOf(model), model.path].map(plain);
  return [...names, ...names.map((name) => name.replace(ENDING, ''))];
}
