/** Models from the configuration: single ones, a folder of them, and those that come with the package. */
import { basename, resolve } from 'node:path';
import { SafelightError } from '../../errors.js';
import { modelKind } from '../../families/registry.js';
import { recognizeModel } from '../../families/shared/recognize.js';
import { kindOf } from '../../files/read.js';
import { bundledModel, bundledModels } from '../../hub/bundled.js';
import { findModels } from '../../hub/find-models.js';
import { locateModel } from '../../hub/locate.js';
import { type ConfiguredModel, parseModel } from './catalog.js';

/** A file or folder that was named or found but is not offered, or cannot be loaded as it is. */
export interface ModelProblem {
  /** The configured name, or the path below the folder of models. */
  readonly model: string;
  readonly path: string;
  /** An `ErrorCode`. */
  readonly code: string;
  readonly reason: string;
  /** True for a model that was named: it is offered all the same, and its jobs fail with the reason. */
  readonly offered: boolean;
}

export interface ConfiguredOptions {
  /** `NAME=PATH`, a path, `owner/name`, `starter` or `sketch`. */
  readonly model?: readonly string[] | undefined;
  /** A folder, which is searched with its subfolders. */
  readonly models?: string | undefined;
  /** Offers the bundled models beside others; default true. */
  readonly starter?: boolean | undefined;
  /** Workers elsewhere load the models, so that a path need not exist here. */
  readonly remote?: boolean | undefined;
  readonly onProblem?: ((problem: ModelProblem) => void) | undefined;
}

/** Models of a folder that are read at a time. */
const AT_A_TIME = 4;

/** Returns the models that come with the package: `starter` for prompts, `sketch` for sketches. */
export function starters(): ConfiguredModel[] {
  return Object.keys(bundledModels).flatMap((name) => {
    const path = bundledModel(name);
    return path === undefined ? [] : [{ name, path, bundled: true }];
  });
}

/**
 * Returns the models named one by one, then those of the folder, then the bundled ones.
 * @throws INVALID_OPTION, FILE_NOT_FOUND for a path that does not exist, MODEL_NOT_FOUND for what has to be pulled first
 */
export async function configuredModels(options: ConfiguredOptions): Promise<ConfiguredModel[]> {
  const { model = [], models, starter = true, onProblem = () => undefined } = options;
  const named = await Promise.all(model.map((text) => namedModel(text, options.remote ?? false, onProblem)));
  const own = starter ? starters() : [];
  const names = new Set(named.map(({ name }) => name));
  const bundled = own.filter(({ name }) => !names.has(name));
  const found = models === undefined ? [] : await modelsIn(models, { named, bundled, onProblem });
  const all = [...named, ...found, ...bundled];
  if (all.length > 0) return all;
  throw new SafelightError(
    'INVALID_OPTION',
    `There is no model to offer${models === undefined ? '' : `: '${models}' holds none that can be loaded`}; name one by --model, or leave out --no-starter`,
  );
}

async function namedModel(
  text: string,
  remote: boolean,
  onProblem: (problem: ModelProblem) => void,
): Promise<ConfiguredModel> {
  const { name, path: given } = parseModel(text);
  const path = resolve(await locateModel(given));
  if ((await kindOf(path)) === null) {
    const reason = `There is no file or folder '${path}' for the model ${name}`;
    if (!remote)
      throw new SafelightError(
        'FILE_NOT_FOUND',
        `${reason}; give --model NAME=PATH, or the name of a downloaded model (\`safelight models\` lists them)`,
      );
    const why = `${reason} on this machine; its workers need it`;
    onProblem({ model: name, path, code: 'FILE_NOT_FOUND', reason: why, offered: true });
    return { name, path };
  }
  try {
    return { name, path, kind: await namedKind(path) };
  } catch (error) {
    onProblem({ model: name, path, ...reasonOf(error), offered: true });
    return { name, path };
  }
}

/** Detects the kind as `recognizeModel` does, but accepts a VAE, as it was named. */
async function namedKind(path: string): Promise<ConfiguredModel['kind']> {
  const kind = await modelKind(path);
  return kind === 'codes' ? kind : recognizeModel(path);
}

interface Beside {
  /** Models named one by one: what the folder has of their names or paths is not offered twice. */
  readonly named: readonly ConfiguredModel[];
  /** Bundled models, whose names a file of the folder may not take. */
  readonly bundled: readonly ConfiguredModel[];
  readonly onProblem: (problem: ModelProblem) => void;
}

/** Returns files and folders below the folder that can be loaded, by their relative paths. */
async function modelsIn(folder: string, { named, bundled, onProblem }: Beside): Promise<ConfiguredModel[]> {
  const root = resolve(folder);
  const skipped = (file: string, reason: string): void =>
    onProblem({
      ...{ model: file, path: resolve(root, file), code: 'INVALID_FILE' },
      ...{ reason: `${file} is left out: ${reason}`, offered: false },
    });
  const candidates = (await findModels(root, skipped)).filter(
    ({ path }) => !named.some((model) => model.path === path),
  );
  const known = await inTurns(candidates, async ({ path, file }) => {
    try {
      return await recognizeModel(path);
    } catch (error) {
      onProblem({ model: file, path, ...reasonOf(error), offered: false });
      return undefined;
    }
  });
  const found: ConfiguredModel[] = [];
  const isTaken = (name: string): boolean => [...found, ...bundled].some((model) => model.name === name);
  for (const [i, { path, file: below, name: own }] of candidates.entries()) {
    const kind = known[i];
    if (kind === undefined) continue;
    const file = below === '.' ? basename(root) : below;
    const short = below === '.' ? file : own;
    if (named.some(({ name }) => name === short)) continue;
    const name = isTaken(short) ? file : short; // the same model in two formats
    if (isTaken(name))
      skipped(file, `${name} is the name of a bundled model; rename it, or give --no-starter`);
    else found.push({ name, path, kind, file });
  }
  return found;
}

/** Maps items in parallel, a few at a time; results are in the order of the items. */
async function inTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let first = 0; first < items.length; first += AT_A_TIME)
    results.push(...(await Promise.all(items.slice(first, first + AT_A_TIME).map(work))));
  return results;
}

function reasonOf(error: unknown): Pick<ModelProblem, 'code' | 'reason'> {
  if (error instanceof SafelightError) return { code: error.code, reason: error.message };
  return { code: 'INTERNAL', reason: error instanceof Error ? error.message : String(error) };
}
