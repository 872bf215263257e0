/**
 * Opens tiny autoencoders (TAESD): a diffusers folder, a file with one or both halves, or the original file of one half
 * with that of the other beside it.
 */
import { basename, dirname, extname, join } from 'node:path';
import { SafelightError } from '../errors.js';
import { kindOf } from '../files/read.js';
import { detectTinyAutoencoderConfig, factorOf } from './config/detect/tiny-autoencoder.js';
import { checkLatentChannels, readTinyAutoencoderFields } from './config/diffusers/tiny-autoencoder.js';
import type { TinyAutoencoderConfig } from './config/types.js';
import { type ConfigFields, readConfigBeside } from './config/validate.js';
import { openWeights } from './formats/open-weights.js';
import type { TinyAutoencoderSource } from './model-descriptor.js';
import { type TinyHalf, tinyAutoencoderNaming, tinyHalves } from './naming/tiny-autoencoder.js';
import { ComponentWeights } from './weights/component.js';
import { findWeights } from './weights/find-weights.js';
import type { TensorIndex, TensorInfo } from './weights/tensor-index.js';

const UNSCALED = { scaling_factor: 1, shift_factor: 0 };

/** Returns the ratio of an image's side length to that of its latent, such as 8. */
export function tinyDownsampleFactor({ encoder, decoder }: TinyAutoencoderConfig): number {
  return factorOf(decoder ?? encoder ?? []);
}

/** Returns true for the config of an `AutoencoderTiny`. */
export function isTinyConfig(fields: ConfigFields): boolean {
  return fields._class_name === 'AutoencoderTiny';
}

/** Returns true if tensors contain a tiny autoencoder, or half of one. */
export function isTinyAutoencoder(tensors: TensorIndex): boolean {
  return tinyHalves(tensors).length > 0;
}

/** Opens the folder of an `AutoencoderTiny`. @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, SHAPE_MISMATCH */
export async function openTinyAutoencoderFolder(
  folder: string,
  fields: ConfigFields,
  variant?: string,
): Promise<TinyAutoencoderSource> {
  const { tensors } = await openWeights(await findWeights(folder, variant));
  return openTensors(tensors, folder, { fields, path: join(folder, 'config.json') });
}

/**
 * Opens the file of a tiny autoencoder. If it contains one half, the other is read from the file of the same name with
 * `encoder` in place of `decoder`, or the reverse, if there is one.
 * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, INVALID_FILE
 */
export async function openTinyAutoencoder(
  path: string,
  tensors: TensorIndex,
): Promise<TinyAutoencoderSource> {
  const halves = tinyHalves(tensors);
  const other = halves.length === 1 ? await otherHalf(path, halves[0]!) : null;
  return openTensors(
    other === null ? tensors : merged(tensors, other),
    path,
    await readConfigBeside(path, isTinyConfig),
  );
}

function openTensors(
  tensors: TensorIndex,
  where: string,
  config: { readonly fields: ConfigFields; readonly path: string } | null,
): TinyAutoencoderSource {
  const naming = tinyAutoencoderNaming(tensors);
  if (naming === null) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${where} contains no tiny autoencoder (encoder.layers.*, decoder.layers.*); use the weights that belong to its config`,
    );
  }
  const weights = new ComponentWeights('tiny autoencoder', where, tensors, naming);
  const stated = config && readTinyAutoencoderFields(config.fields, config.path);
  const { scaling_factor, shift_factor } = stated ?? UNSCALED;
  const detected = detectTinyAutoencoderConfig(weights, { scaling_factor, shift_factor });
  if (config && stated) checkLatentChannels(stated, detected, config.path);
  return { config: detected, weights };
}

/** Returns the tensors of the file with the other half; null if there is no such file. */
async function otherHalf(path: string, half: TinyHalf): Promise<TensorIndex | null> {
  const candidates = siblings(path, half);
  for (const candidate of candidates) {
    if ((await kindOf(candidate)) !== 'file') continue;
    const { tensors } = await openWeights(candidate);
    const [found, ...more] = tinyHalves(tensors);
    if (found !== undefined && found !== half && more.length === 0) return tensors;
  }
  return null;
}

/** Returns the paths of files that may contain the other half. */
function siblings(path: string, half: TinyHalf): string[] {
  const name = basename(path);
  const other = name.replace(half, oppositeOf(half));
  if (other === name) return [];
  const stem = other.slice(0, other.length - extname(other).length);
  const names = [other, ...['.safetensors', '.pth', '.pt', '.bin'].map((ending) => stem + ending)];
  return [...new Set(names)].map((file) => join(dirname(path), file));
}

function oppositeOf(half: TinyHalf): TinyHalf {
  return half === 'encoder' ? 'decoder' : 'encoder';
}

/** Joins the tensors of two halves under the prefixes of a combined file. */
function merged(...indexes: readonly TensorIndex[]): TensorIndex {
  const all = new Map<string, TensorInfo>();
  for (const tensors of indexes) {
    const [half] = tinyHalves(tensors);
    for (const tensor of tensors.values()) {
      const isBare = /^\d/.test(tensor.name);
      const name = isBare ? `${half}.${tensor.name}` : tensor.name;
      all.set(name, { ...tensor, name });
    }
  }
  return all;
}

/** Returns the error of a tiny autoencoder that lacks a half, which names the file to add. */
export function missingHalf(path: string, half: TinyHalf): SafelightError {
  const [file] = siblings(path, oppositeOf(half));
  const need = half === 'encoder' ? 'encoding an image needs its encoder' : 'decoding needs its decoder';
  const advice = file
    ? `put ${basename(file)} beside it, or name a folder or file with both`
    : 'name a folder or file with both';
  return new SafelightError(
    'MISSING_TENSOR',
    `${path} contains only the ${oppositeOf(half)} of a tiny autoencoder, and ${need}; ${advice}`,
  );
}
