/** The files of a model as a family looks at them to tell whether they are its own: names and configs, no weights. */
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
  /** Absolute. */
  readonly path: string;
  /** Its model_index.json. */
  readonly index: ConfigFields;
  /** Tells whether the index lists a component. @throws INVALID_FILE */
  has(component: string): boolean;
}

/** A single file, or a sharded one. */
export interface ModelFile {
  readonly form: 'file';
  /** Absolute. */
  readonly path: string;
  readonly tensors: TensorIndex;
  /** Metadata of a GGUF file. */
  readonly metadata: GgufMetadata | undefined;
  /** Text metadata by its keys. */
  readonly notes: ReadonlyMap<string, string>;
  /** Tells whether some tensor's name has a prefix. */
  has(prefix: string): boolean;
}

export type ModelFiles = ModelFolder | ModelFile;

/** @param path absolute. @throws FILE_NOT_FOUND, INVALID_FILE, INVALID_OPTION, MISSING_TENSOR for `ema` without averages */
export async function readModelFiles(path: string, options: OpenModelOptions): Promise<ModelFiles> {
  if ((await kindOf(path)) === 'folder') return readFolder(path, options);
  const { tensors, metadata, notes } = await openWeights(path, { ema: options.ema ?? false });
  return { form: 'file', path, tensors, metadata, notes, has: prefixSearch(tensors) };
}

async function readFolder(path: string, options: OpenModelOptions): Promise<ModelFolder> {
  if (options.ema) {
    throw new SafelightError(
      'INVALID_OPTION',
      `${path} is a folder, which holds weights or their moving average but not both; leave the ema option out`,
    );
  }
  if (options.config !== undefined) {
    throw new SafelightError(
      'INVALID_OPTION',
      `${path} is a folder, whose parts have configs of their own; leave the config option out`,
    );
  }
  if ((await kindOf(join(path, 'model_index.json'))) !== 'file') {
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `${path} has no model_index.json, so it is no diffusers model; name a folder that has one, or a .safetensors checkpoint itself`,
    );
  }
  const index = await readConfig(join(path, 'model_index.json'));
  return { form: 'folder', path, index, has: (component) => isListed(index, component, path) };
}

/** Looks for each prefix once: every family asks for some of the same. */
function prefixSearch(tensors: TensorIndex): (prefix: string) => boolean {
  const known = new Map<string, boolean>();
  return (prefix) => {
    let found = known.get(prefix);
    if (found === undefined) {
      found = false;
      for (const name of tensors.keys()) {
        found = name.startsWith(prefix);
        if (found) break;
      }
      known.set(prefix, found);
    }
    return found;
  };
}

/** `["diffusers", "UNet2DConditionModel"]`, or `[null, null]` for a component that is left out. */
function isListed(index: ConfigFields, component: string, path: string): boolean {
  const entry = checkConfig(
    z.tuple([z.string().nullable(), z.string().nullable()]).nullish(),
    Object.hasOwn(index, component) ? index[component] : undefined,
    `${join(path, 'model_index.json')}: ${component}`,
  );
  return (entry?.[1] ?? null) !== null;
}

/** Components that may have weights of a variant. */
const COMPONENTS = ['unet', 'text_encoder', 'text_encoder_2', 'vae', 'vqvae', 'bert'];

/** @throws FILE_NOT_FOUND if no component has weights of the variant, INVALID_OPTION for one that cannot be a variant */
export async function requireVariant({ path, has }: ModelFolder, variant: string | undefined): Promise<void> {
  if (variant === undefined) return;
  checkVariant(variant);
  for (const component of COMPONENTS) {
    if (has(component) && (await hasVariant(join(path, component), variant))) return;
  }
  throw new SafelightError(
    'FILE_NOT_FOUND',
    `No component of ${path} has weights of the variant "${variant}"; leave the variant out or download it`,
  );
}
