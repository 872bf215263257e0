/** The files of a model as families inspect them for detection: names and configs, no weights. */
import { join } from 'node:path';
import { z } from 'zod';
import { SafelightError } from '../errors.js';
import { kindOf } from '../files/read.js';
import { type ConfigFields, checkConfig, readConfig } from './config/validate.js';
import type { GgufMetadata } from './formats/gguf-metadata.js';
import { openWeights } from './formats/open-weights.js';
import type { OpenModelOptions } from './model-descriptor.js';
import { checkVariant, hasVariant } from './weights/find-weights.js';
import type { TensorIndex } from './weights/tensor-index.js';

/** A diffusers folder. */
export interface ModelFolder {
  readonly form: 'folder';
  /** Absolute path. */
  readonly path: string;
  /** Content of its `model_index.json`. */
  readonly index: ConfigFields;
  /** Returns true if the index lists a component. @throws INVALID_FILE */
  has(component: string): boolean;
}

/** A single file or a sharded one. */
export interface ModelFile {
  readonly form: 'file';
  /** Absolute path. */
  readonly path: string;
  readonly tensors: TensorIndex;
  /** Metadata of a GGUF file. */
  readonly metadata: GgufMetadata | undefined;
  /** Text metadata of the file. */
  readonly notes: ReadonlyMap<string, string>;
  /** Returns true if a tensor's name starts with the prefix. */
  has(prefix: string): boolean;
}

export type ModelFiles = ModelFolder | ModelFile;

/**
 * @param path absolute path of the folder or file
 * @throws FILE_NOT_FOUND, INVALID_FILE, INVALID_OPTION, MISSING_TENSOR for `ema` if the file has no averages
 */
export async function readModelFiles(path: string, options: OpenModelOptions): Promise<ModelFiles> {
  if ((await kindOf(path)) === 'folder') return readFolder(path, options);
  const { tensors, metadata, notes } = await openWeights(path, { ema: options.ema ?? false });
  return { form: 'file', path, tensors, metadata, notes, has: prefixSearch(tensors) };
}

async function readFolder(path: string, options: OpenModelOptions): Promise<ModelFolder> {
  if (options.ema) {
    throw new SafelightError(
      'INVALID_OPTION',
      `${path} is a folder, which contains either weights or their moving average; leave out the ema option`,
    );
  }
  if (options.config !== undefined) {
    throw new SafelightError(
      'INVALID_OPTION',
      `${path} is a folder, whose components have their own configs; leave out the config option`,
    );
  }
  if ((await kindOf(join(path, 'model_index.json'))) !== 'file') {
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `${path} has no model_index.json, so it is no diffusers folder; name a folder that has one, or a .safetensors file`,
    );
  }
  const index = await readConfig(join(path, 'model_index.json'));
  return { form: 'folder', path, index, has: (component) => isListed(index, component, path) };
}

/** Returns a cached prefix search, since several families test the same prefixes. */
function prefixSearch(tensors: TensorIndex): (prefix: string) => boolean {
  const results = new Map<string, boolean>();
  return (prefix) => {
    let matches = results.get(prefix);
    if (matches === undefined) {
      matches = false;
      for (const name of tensors.keys()) {
        matches = name.startsWith(prefix);
        if (matches) break;
      }
      results.set(prefix, matches);
    }
    return matches;
  };
}

/** The index lists `["diffusers", "UNet2DConditionModel"]`, or `[null, null]` for an absent component. */
function isListed(index: ConfigFields, component: string, path: string): boolean {
  const entry = checkConfig(
    z.tuple([z.string().nullable(), z.string().nullable()]).nullish(),
    Object.hasOwn(index, component) ? index[component] : undefined,
    `${join(path, 'model_index.json')}: ${component}`,
  );
  return (entry?.[1] ?? null) !== null;
}

/** Folders of components whose weights may have variants. */
const COMPONENTS = ['unet', 'text_encoder', 'text_encoder_2', 'vae', 'vqvae', 'bert'];

/** @throws FILE_NOT_FOUND if no component has weights of the variant; INVALID_OPTION for an invalid variant name */
export async function requireVariant({ path, has }: ModelFolder, variant: string | undefined): Promise<void> {
  if (variant === undefined) return;
  checkVariant(variant);
  for (const component of COMPONENTS) {
    if (has(component) && (await hasVariant(join(path, component), variant))) return;
  }
  throw new SafelightError(
    'FILE_NOT_FOUND',
    `No component of ${path} has weights of the variant "${variant}"; leave out the variant option or download that variant`,
  );
}
