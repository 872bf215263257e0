import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { invalidOption, SafelightError } from '../../errors.js';
import { fileError } from '../../files/read.js';

/** Base names of weights in the component folders of diffusers and transformers. */
const BASES = ['diffusion_pytorch_model', 'model', 'pytorch_model'];
/** Extensions by precedence: PyTorch's own files are the only ones of older models, GGUF files are replacements. */
const FORMS = ['safetensors', 'bin', 'gguf'];

/**
 * Finds the file (or shard index) of a component folder's weights: the requested variant, else without variant, else
 * `.fp16`; safetensors before `.bin` and `.gguf`. If none matches, the only GGUF file of any name.
 * @param variant such as `fp16` or `non_ema`
 * @throws FILE_NOT_FOUND if there is none
 */
export async function findWeights(folder: string, variant?: string): Promise<string> {
  const files = new Set(await listed(folder));
  const plain = FORMS.flatMap((form) => [null, 'fp16'].flatMap((kind) => candidates(kind, form)));
  const requested = variant === undefined ? [] : FORMS.flatMap((form) => candidates(variant, form));
  const match = [...requested, ...plain].find((name) => files.has(name));
  if (match !== undefined) return join(folder, match);
  const others = [...files].filter((name) => /^[^.].*\.gguf$/i.test(name));
  if (others.length === 1) return join(folder, others[0]!);
  throw new SafelightError(
    'FILE_NOT_FOUND',
    `${folder} has no ${BASES[0]}.safetensors or model.safetensors (nor .bin or .gguf); the model folder is incomplete: download it again`,
  );
}

/** Returns true if a component's folder has weights of this variant. */
export async function hasVariant(folder: string, variant: string): Promise<boolean> {
  const files = new Set(await listed(folder));
  return FORMS.some((form) => candidates(variant, form).some((name) => files.has(name)));
}

/** @throws INVALID_OPTION for a string that cannot be part of a file name */
export function checkVariant(variant: string): void {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(variant))
    throw invalidOption('variant', 'letters, digits, "-" and "_" (such as fp16)', variant);
}

/** Single files before shards. The libraries write variants of shard indexes as `model.safetensors.index.fp16.json`. */
function candidates(variant: string | null, form: string): string[] {
  return BASES.flatMap((base) =>
    variant === null
      ? [`${base}.${form}`, `${base}.${form}.index.json`]
      : [
          `${base}.${variant}.${form}`,
          `${base}.${form}.index.${variant}.json`,
          `${base}.${variant}.${form}.index.json`,
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
