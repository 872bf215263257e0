/** Models by what a person names: one by one, a folder of them, or those that come with the package. */
import type { Dirent } from 'node:fs';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SafelightError } from '../errors.js';
import { locateModel } from '../hub/locate.js';
import { sketchStarter } from '../models/codes-defaults.js';
import { starterModel } from '../models/open-model.js';
import { type ConfiguredModel, parseModel } from './catalog.js';

const WEIGHTS = /\.(?:safetensors|gguf|ckpt)$/;

/** The models that come with the package: what draws prompts, and what draws after sketches. */
export function starters(): ConfiguredModel[] {
  const sketch = existsSync(sketchStarter) ? [{ name: 'sketch', path: sketchStarter }] : [];
  return [{ name: 'starter', path: starterModel }, ...sketch];
}

/**
 * Those named one by one, then those of the folder; the starters where there are none.
 * @throws INVALID_OPTION, FILE_NOT_FOUND, MODEL_NOT_FOUND for what has to be pulled first
 */
export async function configuredModels({
  model = [],
  models,
}: {
  readonly model?: readonly string[] | undefined;
  readonly models?: string | undefined;
}): Promise<ConfiguredModel[]> {
  const named = await Promise.all(
    model.map(async (text) => {
      const { name, path } = parseModel(text);
      return { name, path: await locateModel(path) };
    }),
  );
  const found = models === undefined ? [] : await modelsIn(models);
  const names = new Set(named.map(({ name }) => name));
  const all = [...named, ...found.filter(({ name }) => !names.has(name))];
  return all.length > 0 ? all : starters();
}

/** Model files, and folders that hold one, directly in the folder. */
async function modelsIn(folder: string): Promise<ConfiguredModel[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw new SafelightError('FILE_NOT_FOUND', `The folder of models '${folder}' cannot be read`, {
      cause: error,
    });
  }
  const found: ConfiguredModel[] = [];
  for (const { name } of entries.sort((a, b) => a.name.localeCompare(b.name))) {
    const path = resolve(folder, name);
    if (!WEIGHTS.test(name) && !(await holdsModel(path))) continue;
    const short = name.replace(WEIGHTS, '');
    const taken = found.some((other) => other.name === short); // the same model in two formats
    found.push({ name: taken ? name : short, path });
  }
  return found;
}

async function holdsModel(path: string): Promise<boolean> {
  const names = await readdir(path).catch((): string[] => []);
  return names.some((name) => name === 'model_index.json' || name === 'config.json' || WEIGHTS.test(name));
}
