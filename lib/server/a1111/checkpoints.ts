/** Presents the diffusion models as A1111's checkpoints. */
import { basename, extname } from 'node:path';
import type { Catalog, CatalogModel } from '../../jobs/models/catalog.js';
import { failure, quoted } from './failures.js';
import { rankBySimilarity } from './similar-names.js';

export interface Checkpoint {
  readonly title: string;
  readonly model_name: string;
  readonly hash: string | null;
  readonly sha256: string | null;
  readonly filename: string;
  readonly config: string | null;
}

/** A model; those from the models folder have `file`, their path relative to it, such as `sub/name.safetensors`. */
type Model = CatalogModel & { readonly file?: string | undefined };

/** Maximum number of titles listed in an error. */
const MAX_LISTED = 20;

export class Checkpoints {
  constructor(private readonly catalog: Pick<Catalog, 'models' | 'defaultModel'>) {}

  /** Lists the diffusion models. Paths are given relative to the models folder, or as the file name alone. */
  list(): Checkpoint[] {
    return this.models().map((model) => ({
      ...{ title: titleOf(model), model_name: model.name, hash: null, sha256: null },
      ...{ filename: model.file ?? basename(model.path), config: null },
    }));
  }

  /**
   * Returns the configured name of a checkpoint for any form that clients send: title, name or file, with or
   * without folder and extension, in any case, with `/` or `\`; a trailing hash is ignored.
   * @param field name of the field for errors
   * @throws 422 for an unknown checkpoint or an ambiguous name
   */
  find = (requested: string, field = 'sd_model_checkpoint'): string => {
    const models = this.models();
    for (const title of new Set([requested, withoutHash(requested)])) {
      const exact =
        models.find(({ name }) => name === title) ?? models.find((model) => titleOf(model) === title);
      if (exact) return exact.name;
    }
    const normalized = normalize(withoutHash(requested));
    const matches = this.named(normalized) ?? this.named(normalized.replace(EXTENSION, ''));
    if (matches?.length === 1) return matches[0]!.name;
    if (matches) {
      const titles = matches.map(titleOf).join(', ');
      throw failure(422, `${field}: ${quoted(requested)} matches several checkpoints: ${titles}`);
    }
    throw failure(
      422,
      `${field}: no checkpoint is named ${quoted(requested)}. ${this.suggestion(normalized)}`,
    );
  };

  /** Returns the model name of a setting: the default model if it is empty or its model no longer exists. */
  current(setting: string): string {
    return this.models().some(({ name }) => name === setting) ? setting : this.catalog.defaultModel;
  }

  title(name: string): string {
    const model = this.models().find((candidate) => candidate.name === name);
    return model ? titleOf(model) : name;
  }

  /** Returns the models with this name, or else those whose names end in it, such as `sub/name` for `name`. */
  private named(name: string): readonly Model[] | undefined {
    if (name === '') return undefined;
    const exact = this.models().filter((model) => namesOf(model).includes(name));
    const partial = this.models().filter((model) => namesOf(model).some((full) => full.endsWith(`/${name}`)));
    return [exact, partial].find((matches) => matches.length > 0);
  }

  private suggestion(name: string): string {
    const titles = this.models().map(titleOf);
    if (titles.length === 0) return 'The server has no checkpoints';
    const { near, all } = rankBySimilarity(name, titles);
    const listed = all.slice(0, MAX_LISTED).join(', ');
    const more = all.length > MAX_LISTED ? ` and ${all.length - MAX_LISTED} more (/sdapi/v1/sd-models)` : '';
    return `${near.length > 0 ? `Did you mean ${near.join(' or ')}? ` : ''}The checkpoints are: ${listed}${more}`;
  }

  private models(): readonly Model[] {
    return this.catalog.models.filter(({ kind }) => kind === 'diffusion' || kind === undefined);
  }
}

const EXTENSION = /\.(?:safetensors|gguf|ckpt|pt|pth|bin)$/i;

/** Returns the title of a model: its path in the models folder, or its name with the file extension. */
function titleOf({ name, path, file }: Model): string {
  if (file !== undefined) return file;
  const extension = EXTENSION.test(path) ? extname(path) : '';
  return name.toLowerCase().endsWith(extension.toLowerCase()) ? name : name + extension;
}

function withoutHash(name: string): string {
  return name.replace(/\s*\[[0-9a-f]+\]\s*$/i, '').trim();
}

/** Normalizes the spelling of a path: case, separators and leading separators. */
function normalize(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replaceAll('\\', '/')
    .replace(/^(?:\.?\/)+/, ''); // `./name`, and A1111's titles on Windows, which begin with `\`
}

/** Returns the names of a model including folders, with and without the file extension. */
function namesOf(model: Model): string[] {
  const names = [model.name, titleOf(model), model.path].map(normalize);
  return [...names, ...names.map((name) => name.replace(EXTENSION, ''))];
}
