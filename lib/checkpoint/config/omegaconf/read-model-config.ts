/**
 * Finds the YAML config of a checkpoint: taming-transformers and latent diffusion describe a model (`model.target`,
 * `model.params`) in a file next to its weights.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { invalidOption, SafelightError } from '../../../errors.js';
import { kindOf } from '../../../files/read.js';
import { ModelConfig } from './model-config.js';
import { type ConfigTree, isTree, mergeTrees, readYaml } from './yaml-tree.js';

const EXTENSIONS = ['.yaml', '.yml'];
/** Limit of merged `*-project.yaml` files; a run has one per resumption. */
const MAX_FILES = 64;

/**
 * Reads the config of a checkpoint: the file or files of the option, else the first found next to the checkpoint of
 * `NAME.yaml` (or `.yml`), `config.yaml`, `model.yaml`, and for a training run's `RUN/checkpoints/NAME.ckpt` those of
 * `RUN/configs`, whose `*-project.yaml` are merged in the order of their names (dates), as the training script does.
 *
 * @param checkpoint a weights file, or a folder that contains one
 * @param option `--config`; several files are merged, later ones override earlier ones
 * @returns null if the option is not given and no config is found
 * @throws FILE_NOT_FOUND, INVALID_FILE (also if a file of the option has no `model`), INVALID_OPTION
 */
export async function readModelConfig(
  checkpoint: string,
  option?: string | readonly string[],
): Promise<ModelConfig | null> {
  if (option !== undefined) return readNamed(option);
  const path = resolve(checkpoint);
  const folder = (await kindOf(path)) === 'folder' ? path : dirname(path);
  const names = folder === path ? [] : [basename(path), basename(path).replace(/\.[^.]*$/, '')];
  for (const name of [...names, 'config', 'model']) {
    for (const extension of EXTENSIONS) {
      const config = await readIfModel([join(folder, name + extension)]);
      if (config !== null) return config;
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
    throw invalidOption('config', 'the path of a YAML file', option);
  const config = await merged(files.map((file) => resolve(file)));
  if (!isModel(config.tree)) {
    throw new SafelightError(
      'INVALID_FILE',
      `${config.where} has no "model" with "target" and "params"; name the YAML that belongs to the checkpoint`,
    );
  }
  return new ModelConfig(config.where, config.tree);
}

/** Reads the configs folder of a training run, or of a download with the same layout. */
async function readRun(folder: string): Promise<ModelConfig | null> {
  if ((await kindOf(folder)) !== 'folder') return null;
  const names = (await readdir(folder)).filter((name) => /-project\.ya?ml$/.test(name)).sort();
  if (names.length > 0) {
    const config = await readIfModel(names.slice(-MAX_FILES).map((name) => join(folder, name)));
    if (config !== null) return config;
  }
  for (const name of ['model.yaml', 'config.yaml']) {
    const config = await readIfModel([join(folder, name)]);
    if (config !== null) return config;
  }
  return null;
}

/** Reads files that the option does not name: null unless all exist and describe a model. */
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
