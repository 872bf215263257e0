import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { invalidOption, SafelightError } from '../errors.js';
import { fileError } from './files.js';

/** How diffusers and transformers name a component's weights. */
const BASES = ['diffusion_pytorch_model', 'model', 'pytorch_model'];

/**
 * The file (or shard index) to read a folder component's weights from: the variant asked for, else the plain one, else `.fp16`.
 * @param variant such as `fp16` or `non_ema`
 * @throws FILE_NOT_FOUND if there is none, UNSUPPORTED_MODEL if there are only PyTorch pickles
 */
export async function findWeights(folder: string, variant?: string): Promise<string> {
  const files = new Set(await listed(folder));
  for (const kind of variant === undefined ? [null, 'fp16'] : [variant, null, 'fp16']) {
    const found = candidates(kind).find((name) => files.has(name));
    if (found !== undefined) return join(folder, found);
  }
  const pickle = [...files].find((name) => /\.(bin|ckpt|pt|pth)$/.test(name));
  if (pickle !== undefined) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${folder} holds its weights as ${pickle} only; convert them to safetensors, or take a model that has them so`,
    );
  }
  throw new SafelightError(
    'FILE_NOT_FOUND',
    `${folder} has no ${BASES[0]}.safetensors or model.safetensors; the model folder is incomplete: download it again`,
  );
}

/** Whether a component's folder has weights of this variant. */
export async function hasVariant(folder: string, variant: string): Promise<boolean> {
  const files = new Set(await listed(folder));
  return candidates(variant).some((name) => files.has(name));
}

/** @throws INVALID_OPTION for anything that could not be part of a file name */
export function checkVariant(variant: string): void {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(variant))
    throw invalidOption('variant', 'letters, digits, "-" and "_" (such as fp16)', variant);
}

/** Plain files before shards; of the shards' indexes, `model.safetensors.index.fp16.json` is how the libraries write it. */
function candidates(variant: string | null): string[] {
  return BASES.flatMap((base) =>
    variant === null
      ? [`${base}.safetensors`, `${base}.safetensors.index.json`]
      : [
          `${base}.${variant}.safetensors`,
          `${base}.safetensors.index.${variant}.json`,
          `${base}.${variant}.safetensors.index.json`,
        ],
  );
}

async function listed(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw fileError(folder, error);
  }
}
