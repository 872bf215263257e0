/**
 * Model names in OpenAI's requests: configured names, and OpenAI's image models as aliases of the default model.
 */
import { SafelightError } from '../../errors.js';
import type { Catalog } from '../../jobs/models/catalog.js';

/** OpenAI's image models, whose names are hard-coded in clients; a snapshot date may follow. */
const ALIASES: ReadonlySet<string> = new Set([
  ...['dall-e-2', 'dall-e-3'],
  ...['gpt-image-1', 'gpt-image-1-mini', 'gpt-image-1.5', 'gpt-image-2', 'chatgpt-image-latest'],
]);
const SNAPSHOT = /-\d{4}-\d{2}-\d{2}$/;

function isAlias(name: string): boolean {
  return ALIASES.has(name) || ALIASES.has(name.replace(SNAPSHOT, ''));
}

/**
 * Returns the configured name for a request's `model`; undefined for the default model, including an absent or
 * empty name.
 * @throws MODEL_NOT_FOUND for an unknown name, INVALID_OPTION for a model that cannot generate images from prompts
 */
export function requestedModel(catalog: Catalog, requested: string | null | undefined): string | undefined {
  if (!requested) return undefined;
  const names = catalog.models.map(({ name }) => name);
  if (!names.includes(requested)) {
    if (isAlias(requested)) return undefined;
    throw notFound(requested, names);
  }
  const capable = catalog.ofKind('diffusion').map(({ name }) => name);
  if (capable.includes(requested)) return requested;
  throw new SafelightError(
    'INVALID_OPTION',
    `Invalid value for model: ${requested} cannot generate images from prompts; ${capable.length > 0 ? `use ${capable.join(', ')}` : 'no configured model can'}`,
  );
}

export interface OpenAiModel {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
  readonly kind: string | null;
  readonly loaded: boolean;
  readonly default: boolean;
  /** For an alias: the model that it refers to. */
  readonly root?: string;
}

/** Lists the configured models, without aliases. */
export function listModels(catalog: Catalog): OpenAiModel[] {
  return catalog.models.map(({ name }) => toOpenAi(name, catalog));
}

/** Returns a model by its name or an alias. @throws MODEL_NOT_FOUND */
export function retrieveModel(name: string, catalog: Catalog): OpenAiModel {
  const names = catalog.models.map((model) => model.name);
  if (names.includes(name)) return toOpenAi(name, catalog);
  if (!isAlias(name)) throw notFound(name, names);
  return { ...toOpenAi(catalog.defaultModel, catalog), id: name, root: catalog.defaultModel };
}

function toOpenAi(name: string, { models, pool, defaultModel }: Catalog): OpenAiModel {
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
    `The model ${JSON.stringify(name.slice(0, 200))} does not exist; the models are: ${names.join(', ')} (and OpenAI's image models as aliases of the default)`,
  );
}
