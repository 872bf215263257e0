/** Names of models in OpenAI's requests: the configured ones, and OpenAI's own as aliases of the default. */
import { SafelightError } from '../../errors.js';
import type { Catalog } from '../../jobs/models/catalog.js';

/** OpenAI's image models, whose names clients have built in; each may end in the date of a snapshot. */
const ALIASES: ReadonlySet<string> = new Set([
  ...['dall-e-2', 'dall-e-3'],
  ...['gpt-image-1', 'gpt-image-1-mini', 'gpt-image-1.5', 'gpt-image-2', 'chatgpt-image-latest'],
]);
const SNAPSHOT = /-\d{4}-\d{2}-\d{2}$/;

function isAlias(name: string): boolean {
  return ALIASES.has(name) || ALIASES.has(name.replace(SNAPSHOT, ''));
}

/**
 * The configured name that a request's `model` stands for; undefined for the default, which an absent or empty one is, too.
 * @throws MODEL_NOT_FOUND for any other name, INVALID_OPTION for a model that makes no images of prompts
 */
export function requestedModel(catalog: Catalog, asked: string | null | undefined): string | undefined {
  if (!asked) return undefined;
  const names = catalog.models.map(({ name }) => name);
  if (!names.includes(asked)) {
    if (isAlias(asked)) return undefined;
    throw notFound(asked, names);
  }
  const able = catalog.ofKind('diffusion').map(({ name }) => name);
  if (able.includes(asked)) return asked;
  throw new SafelightError(
    'INVALID_OPTION',
    `Expected a right value for model: ${asked} does not make images of prompts; ${able.length > 0 ? `take ${able.join(', ')}` : 'no model here does'}`,
  );
}

export interface ShownModel {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
  readonly kind: string | null;
  readonly loaded: boolean;
  readonly default: boolean;
  /** Of an alias: the model it stands for. */
  readonly root?: string;
}

/** All configured models; aliases are not listed. */
export function listed(catalog: Catalog): ShownModel[] {
  return catalog.models.map(({ name }) => shown(name, catalog));
}

/** A model by its name or an alias. @throws MODEL_NOT_FOUND */
export function retrieved(name: string, catalog: Catalog): ShownModel {
  const names = catalog.models.map((model) => model.name);
  if (names.includes(name)) return shown(name, catalog);
  if (!isAlias(name)) throw notFound(name, names);
  return { ...shown(catalog.defaultModel, catalog), id: name, root: catalog.defaultModel };
}

function shown(name: string, { models, pool, defaultModel }: Catalog): ShownModel {
  return {
    ...{ id: name, object: 'model', created: 0, owned_by: 'safelight' },
    kind: models.find((model) => model.name === name)?.kind ?? null,
    loaded: pool.loaded.some((model) => model.name === name),
    default: name === defaultModel,
  };
}

function notFound(name: string, names: readonly string[]): SafelightError {
  return new SafelightError(
    'MODEL_NOT_FOUND',
    `The model ${JSON.stringify(name.slice(0, 200))} does not exist here; there are: ${names.join(', ')} (and OpenAI's image models as names of the default)`,
  );
}
