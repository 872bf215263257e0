/** Collects the configured models: those named one by one, those found in a folder, and the bundled models. */
import { basename, join, resolve } from 'node:path';
import { SafelightError } from '../../errors.js';
import { modelKind } from '../../families/registry.js';
import { recognizeModel } from '../../families/shared/recognize.js';
import { kindOf } from '../../files/read.js';
import { bundledModel, bundledModels } from '../../hub/bundled.js';
import { adapterFolders, findModels, upscalerFolders } from '../../hub/find-models.js';
import { locateModel } from '../../hub/locate.js';
import type { PromptFileOptions } from '../../pipelines/prompt-files.js';
import { type ConfiguredModel, parseModel } from './catalog.js';

/** A file or folder that is left out of the offered models, or that is offered but cannot be loaded. */
export interface ModelProblem {
  /** The configured name, or the path relative to the models folder. */
  readonly model: string;
  readonly path: string;
  /** An `ErrorCode`. */
  readonly code: string;
  readonly reason: string;
  /** True for a model that was named explicitly: it is still offered, and its jobs fail with the reason. */
  readonly offered: boolean;
}

export interface ConfiguredOptions {
  /** `NAME=PATH`, a path, `owner/name`, `starter` or `sketch`. */
  readonly model?: readonly string[] | undefined;
  /** A folder of models, searched recursively. */
  readonly models?: string | undefined;
  /** Offers the bundled models in addition to the others; default true. */
  readonly starter?: boolean | undefined;
  /** True if workers on other machines load the models, so that paths need not exist on this one. */
  readonly remote?: boolean | undefined;
  readonly onProblem?: ((problem: ModelProblem) => void) | undefined;
}

/** Number of models in a folder whose headers are read concurrently. */
const CONCURRENCY = 4;

/** Returns the bundled models: `starter` for text prompts and `sketch` for sketches. */
export function starters(): ConfiguredModel[] {
  return Object.keys(bundledModels).flatMap((name) => {
    const path = bundledModel(name);
    return path === undefined ? [] : [{ name, path, bundled: true }];
  });
}

/**
 * Returns the models named one by one, followed by those of the folder and the bundled ones. @throws
 * INVALID_OPTION if there are no models, FILE_NOT_FOUND for a path that does not exist, MODEL_NOT_FOUND for a
 * model that has to be downloaded with `safelight pull` first
 */
export async function configuredModels(options: ConfiguredOptions): Promise<ConfiguredModel[]> {
  const { model = [], models, starter = true, onProblem = () => undefined } = options;
  const named = await Promise.all(model.map((text) => namedModel(text, options.remote ?? false, onProblem)));
  const shipped = starter ? starters() : [];
  const names = new Set(named.map(({ name }) => name));
  const bundled = shipped.filter(({ name }) => !names.has(name));
  const found = models === undefined ? [] : await modelsIn(models, { named, bundled, onProblem });
  const all = [...named, ...found, ...bundled];
  if (all.length > 0) return all;
  throw new SafelightError(
    'INVALID_OPTION',
    `No model is available${models === undefined ? '' : `: '${models}' contains none that can be loaded`}; name one with --model, or omit --no-starter`,
  );
}

/** Returns the folders of LoRAs, embeddings, wildcards and upscalers in a folder of models. */
export function promptFoldersIn(models: string | undefined): PromptFileOptions {
  if (models === undefined) return {};
  const { loras, embeddings, wildcards } = adapterFolders;
  return {
    loraFolder: join(models, loras),
    embeddingFolder: join(models, embeddings),
    wildcardFolder: join(models, wildcards),
    upscalerFolder: upscalerFolders.map((name) => join(models, name)),
  };
}

async function namedModel(
  text: string,
  remote: boolean,
  onProblem: (problem: ModelProblem) => void,
): Promise<ConfiguredModel> {
  const { name, path: location } = parseModel(text);
  const path = resolve(await locateModel(location));
  if ((await kindOf(path)) === null) {
    const reason = `No file or folder '${path}' exists for the model ${name}`;
    if (!remote)
      throw new SafelightError(
        'FILE_NOT_FOUND',
        `${reason}; pass --model NAME=PATH or the name of a downloaded model (\`safelight models\` lists them)`,
      );
    const detail = `${reason} on this machine; its workers need that file`;
    onProblem({ model: name, path, code: 'FILE_NOT_FOUND', reason: detail, offered: true });
    return { name, path };
  }
  try {
    return { name, path, kind: await namedKind(path) };
  } catch (error) {
    onProblem({ model: name, path, ...reasonOf(error), offered: true });
    return { name, path };
  }
}

/**
 * Detects the kind like `recognizeModel`, but also accepts a standalone VAE, because it was named explicitly.
 */
async function namedKind(path: string): Promise<ConfiguredModel['kind']> {
  const kind = await modelKind(path);
  return kind === 'codes' ? kind : recognizeModel(path);
}

interface OtherModels {
  /** Models named one by one. Files in the folder with the same name or path are skipped. */
  readonly named: readonly ConfiguredModel[];
  /** Bundled models. Files in the folder must not have the same name. */
  readonly bundled: readonly ConfiguredModel[];
  readonly onProblem: (problem: ModelProblem) => void;
}

/** Returns the loadable models in a folder and its subfolders. */
async function modelsIn(
  folder: string,
  { named, bundled, onProblem }: OtherModels,
): Promise<ConfiguredModel[]> {
  const root = resolve(folder);
  const skipped = (file: string, reason: string): void =>
    onProblem({
      ...{ model: file, path: resolve(root, file), code: 'INVALID_FILE' },
      ...{ reason: `${file} is skipped: ${reason}`, offered: false },
    });
  const candidates = (await findModels(root, skipped)).filter(
    ({ path }) => !named.some((model) => model.path === path),
  );
  const kinds = await mapConcurrently(candidates, async ({ path, file }) => {
    try {
      return await recognizeModel(path);
    } catch (error) {
      onProblem({ model: file, path, ...reasonOf(error), offered: false });
      return undefined;
    }
  });
  const models: ConfiguredModel[] = [];
  const isTaken = (name: string): boolean => [...models, ...bundled].some((model) => model.name === name);
  for (const [i, { path, file: below, name: stem }] of candidates.entries()) {
    const kind = kinds[i];
    if (kind === undefined) continue;
    const file = below === '.' ? basename(root) : below;
    const short = below === '.' ? file : stem;
    if (named.some(({ name }) => name === short)) continue;
    const name = isTaken(short) ? file : short; // e.g. the same model in two formats
    if (isTaken(name))
      skipped(file, `${name} is the name of a bundled model; rename the file, or pass --no-starter`);
    else models.push({ name, path, kind, file });
  }
  return models;
}

/** Maps items concurrently, at most `CONCURRENCY` at once; results are in the order of the items. */
async function mapConcurrently<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let first = 0; first < items.length; first += CONCURRENCY)
    results.push(...(await Promise.all(items.slice(first, first + CONCURRENCY).map(work))));
  return results;
}

function reasonOf(error: unknown): Pick<ModelProblem, 'code' | 'reason'> {
  if (error instanceof SafelightError) return { code: error.code, reason: error.message };
  return { code: 'INTERNAL', reason: error instanceof Error ? error.message : String(error) };
}
