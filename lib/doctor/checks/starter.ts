/** Checks the bundled models: their folders and the headers of their weights. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { openWeights } from '../../checkpoint/formats/open-weights.js';
import { SafelightError } from '../../errors.js';
import { filesUnder } from '../../hub/cache.js';
import { weightsEnding } from '../../hub/find-models.js';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result, reasonOf } from '../finding.js';
import { installAll, isClone, quoted, reinstall } from '../installed.js';

/** Names of the models of the package @safelight/starter. */
export const bundledNames = ['starter', 'sketch'] as const;

export async function checkStarter(environment: DoctorEnvironment): Promise<readonly Result[]> {
  if (bundledNames.every((name) => environment.bundled(name) === undefined))
    return [fault('The package @safelight/starter is not installed', installAll(environment))];
  const results = await Promise.all(bundledNames.map((name) => checkBundled(environment, name)));
  const faults = results.filter(({ status }) => status !== 'ok');
  if (faults.length > 0) return faults;
  const details = results.flatMap((result) => result.details);
  return [
    ok(`The models ${bundledNames.join(' and ')} are complete`, { details, data: { models: bundledNames } }),
  ];
}

async function checkBundled(environment: DoctorEnvironment, name: string): Promise<Result> {
  const folder = environment.bundled(name);
  if (folder === undefined)
    return fault(`The model ${name} is not installed`, installAll(environment), { data: { model: name } });
  const problem = await incompleteFolder(folder).catch(reasonOf);
  const data = { model: name, folder };
  if (problem !== undefined)
    return fault(`The model ${name} cannot be used: ${problem}`, repairStarter(environment, folder), {
      data,
    });
  return ok(`The model ${name} is complete`, { details: [`${name}: ${folder}`], data });
}

/**
 * Returns the reason why a model's folder is incomplete: a component of its `model_index.json` that is missing, or weights
 * whose header is broken. Tokenizers are checked apart.
 */
export async function incompleteFolder(folder: string): Promise<string | undefined> {
  const names = await readdir(folder);
  if (names.includes('model_index.json')) {
    const index: unknown = JSON.parse(await readFile(join(folder, 'model_index.json'), 'utf8'));
    const missing = componentsOf(index).filter((name) => !names.includes(name));
    if (missing.length > 0) return `${quoted(folder)} has no folder ${missing.join(', ')}`;
  }
  const weights = (await filesUnder(folder)).filter((path) => weightsEnding.test(path));
  if (weights.length === 0) return `${quoted(folder)} contains no weights`;
  for (const path of weights)
    try {
      await openWeights(path);
    } catch (error) {
      // A well-formed file of another kind, such as an optimizer's state.
      if (error instanceof SafelightError && error.code === 'UNSUPPORTED_MODEL') continue;
      return `${relative(folder, path)}: ${reasonOf(error)}`;
    }
  return undefined;
}

/** Returns the components that a pipeline needs; null entries are optional ones that the model lacks. */
function componentsOf(index: unknown): readonly string[] {
  if (typeof index !== 'object' || index === null) return [];
  return Object.entries(index)
    .filter(([name, value]) => !name.startsWith('_') && Array.isArray(value) && typeof value[1] === 'string')
    .map(([name]) => name)
    .filter((name) => !['safety_checker', 'feature_extractor', 'image_encoder'].includes(name));
}

/** Returns the command that restores the files of a bundled model. */
export function repairStarter(environment: DoctorEnvironment, folder: string): string {
  const packageOfModel = dirname(folder);
  return isClone(environment)
    ? `git checkout -- ${quoted(packageOfModel)}`
    : reinstall(environment, packageOfModel);
}
