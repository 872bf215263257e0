/**
 * Which YAML belongs to a checkpoint: taming-transformers and latent diffusion keep what a model is (`model.target`,
 * `model.params`) beside its weights.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { invalidOption, SafelightError } from '../../../errors.js';
import { kindOf } from '../../../files/read.js';
import { ModelConfig } from './model-config.js';
import { type ConfigTree, isTree, mergeTrees, readYaml } from './yaml-tree.js';

const EXTENSIONS = ['.yaml', '.yml'];
/** More than one is of a run that was resumed; nobody resumes so often. */
const MAX_FILES = 64;

/**
 * The config of a checkpoint: the file or files that the option names, else what lies beside the checkpoint: `NAME.yaml` (`.yml`),
 * `config.yaml`, `model.yaml`, and for a training run's `RUN/checkpoints/NAME.ckpt` those of `RUN/configs`, where its
 * `*-project.yaml` are merged in the order of their names (dates), as the training script does.
 *
 * @param checkpoint a weights file, or a folder that holds one
 * @param option `--config`; several are merged, the last wins
 * @returns null if the option is not given and none is found
 * @throws FILE_NOT_FOUND, INVALID_FILE (also for a file of the option without `model`), INVALID_OPTION
 */
export async function readModelConfig(
  checkpoint: string,
  option?: string | readonly string[],
): Promise<ModelConfig | null> {
  if (option !== undefined) return readNamed(option);
  const path = resolve(checkpoint);
  const folder = (await kindOf(path)) === 'folder' ? path : dirname(path);
  const own = folder === path ? [] : [basename(path), basename(path).replace(/\.[^.]*$/, '')];
  for (const name of [...own, 'config', 'model']) {
    for (const extension of EXTENSIONS) {
      const found = await readIfModel([join(folder, name + extension)]);
      if (found !== null) return found;
    }
  }
  return (await readRun(join(folder, 'configs'))) ?? (await readRun(join(dirname(folder), 'configs')));
}

async function readNamed(option: string | readonly string[]): Promise<ModelConfig> {
  const files = typeof option === 'string' ? [option] : option;
  if (
    !Array.isArray(files) ||
    files.length === 0 ||
    files.some((file) => typeof file !== 'string' || file === '')
  )
    throw invalidOption('config', 'path of a YAML file', option);
  const config = await merged(files.map((file) => resolve(file)));
  if (!isModel(config.tree)) {
    throw new SafelightError(
      'INVALID_FILE',
      `${config.where} has no "model" with "target" and "params"; name the YAML that belongs to the checkpoint`,
    );
  }
  return new ModelConfig(config.where, config.tree);
}

/** The configs folder of a training run, or of a download that is laid out like one. */
async function readRun(folder: string): Promise<ModelConfig | null> {
  if ((await kindOf(folder)) !== 'folder') return null;
  const names = (await readdir(folder)).filter((name) => /-project\.ya?ml$/.test(name)).sort();
  if (names.length > 0) {
    const found = await readIfModel(names.slice(-MAX_FILES).map((name) => join(folder, name)));
    if (found !== null) return found;
  }
  for (const name of ['model.yaml', 'config.yaml']) {
    const found = await readIfModel([join(folder, name)]);
    if (found !== null) return found;
  }
  return null;
}

/** Files that merely lie there count only if they exist and describe a model. */
async function readIfModel(paths: readonly string[]): Promise<ModelConfig | null> {
  for (const path of paths) if ((await kindOf(path)) !== 'file') return null;
  const { where, tree } = await merged(paths);
  return isModel(tree) ? new ModelConfig(where, tree) : null;
}

async function merged(paths: readonly string[]): Promise<{ where: string; tree: ConfigTree }> {
  let tree: ConfigTree = {};
  for (const path of paths) tree = mergeTrees(tree, await readYaml(path));
  return { where: paths.join(' + '), tree };
}

function isModel({ model }: ConfigTree): boolean {
  return isTree(model) && (Object.hasOwn(model, 'target') || Object.hasOwn(model, 'params'));
}
