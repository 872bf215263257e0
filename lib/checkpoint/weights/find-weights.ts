import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { invalidOption, SafelightError } from '../../errors.js';
import { fileError } from '../../files/read.js';

/** How diffusers and transformers name a component's weights. */
const BASES = ['diffusion_pytorch_model', 'model', 'pytorch_model'];
/** safetensors before PyTorch's own files, which older models have alone, and GGUF, which somebody put in their place. */
const FORMS = ['safetensors', 'bin', 'gguf'];

/**
 * The file (or shard index) to read a folder component's weights from: the variant asked for, else the plain one, else `.fp16`;
 * any safetensors rather than a `.bin` or `.gguf`, unless that is the variant asked for. A GGUF file may have any name if it is the only one.
 * @param variant such as `fp16` or `non_ema`
 * @throws FILE_NOT_FOUND if there is none
 */
export async function findWeights(folder: string, variant?: string): Promise<string> {
  const files = new Set(await listed(folder));
  const plain = FORMS.flatMap((form) => [null, 'fp16'].flatMap((kind) => candidates(kind, form)));
  const asked = variant === undefined ? [] : FORMS.flatMap((form) => candidates(variant, form));
  const found = [...asked, ...plain].find((name) => files.has(name));
  if (found !== undefined) return join(folder, found);
  const others = [...files].filter((name) => /^[^.].*\.gguf$/i.test(name));
  if (others.length === 1) return join(folder, others[0]!);
  throw new SafelightError(
    'FILE_NOT_FOUND',
    `${folder} has no ${BASES[0]}.safetensors or model.safetensors (nor .bin or .gguf); the model folder is incomplete: download it again`,
  );
}

/** Whether a component's folder has weights of this variant. */
export async function hasVariant(folder: string, variant: string): Promise<boolean> {
  const files = new Set(await listed(folder));
  return FORMS.some((form) => candidates(variant, form).some((name) => files.has(name)));
}

/** @throws INVALID_OPTION for anything that could not be part of a file name */
export function checkVariant(variant: string): void {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(variant))
    throw invalidOption('variant', 'letters, digits, "-" and "_" (such as fp16)', variant);
}

/** Plain files before shards; of the shards' indexes, `model.safetensors.index.fp16.json` is how the libraries write it. */
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
