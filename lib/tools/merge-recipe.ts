/** Description of a merge in the metadata of its output, with A1111's keys. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, extname, resolve } from 'node:path';
import { throwIfAborted } from '../errors.js';
import { kindOf } from '../files/read.js';
import { locateModel } from '../hub/locate.js';
import { type MergeMethod, mergeMethods } from './merge-plan.js';

export interface RecipeOptions {
  readonly method: MergeMethod;
  readonly alpha: number;
  /** Path of the output. */
  readonly output: string;
  /** True if A has the additional input channels of an inpainting model. */
  readonly inpainting: boolean;
  /** True if the autoencoder was replaced. */
  readonly vae: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** Receives the number of bytes of each piece that was hashed. */
  readonly onBytes: (bytes: number) => void;
}

/** A model of a merge as a file. */
interface ModelFile {
  readonly name: string;
  /** Absolute path; null for a folder, which has no hash. */
  readonly path: string | null;
  /** Size in bytes; 0 for a folder. */
  readonly size: number;
}

/** @throws FILE_NOT_FOUND */
export async function modelFiles(models: readonly string[]): Promise<ModelFile[]> {
  const files: ModelFile[] = [];
  for (const model of models) {
    const path = resolve(await locateModel(model));
    const isFile = (await kindOf(path)) === 'file';
    const size = isFile ? (await stat(path)).size : 0;
    files.push({ name: basename(path), path: isFile ? path : null, size });
  }
  return files;
}

/**
 * Returns the metadata `sd_merge_recipe` and `sd_merge_models` (A1111, modules/extras.py). Hashes are the SHA-256 of
 * single files; folders have none.
 * @throws ABORTED
 */
export async function mergeRecipe(
  models: readonly ModelFile[],
  { method, alpha, output, inpainting, vae, signal, onBytes }: RecipeOptions,
): Promise<Record<'sd_merge_recipe' | 'sd_merge_models', string>> {
  const hashes: (string | null)[] = [];
  const names: Record<string, unknown> = {};
  for (const { name, path } of models) {
    const hash = path === null ? null : await hashOf(path, signal, onBytes);
    hashes.push(hash);
    if (hash !== null) names[hash] = { name, legacy_hash: null, sd_merge_recipe: null };
  }
  const [primary, secondary, tertiary] = hashes;
  const recipe = {
    type: 'webui',
    primary_model_hash: primary ?? null,
    secondary_model_hash: secondary ?? null,
    tertiary_model_hash: tertiary ?? null,
    interp_method: mergeMethods[method],
    multiplier: alpha,
    save_as_half: true,
    custom_name: basename(output, extname(output)),
    bake_in_vae: vae === undefined ? 'None' : basename(vae),
    discard_weights: '',
    is_inpainting: inpainting,
    is_instruct_pix2pix: false,
  };
  return { sd_merge_recipe: JSON.stringify(recipe), sd_merge_models: JSON.stringify(names) };
}

async function hashOf(
  path: string,
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    throwIfAborted(signal);
    hash.update(chunk as Buffer);
    onBytes((chunk as Buffer).length);
  }
  return hash.digest('hex');
}
