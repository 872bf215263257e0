/** Opens a T5 encoder: reads its config and locates its weights without loading them. */
import { join } from 'node:path';
import { SafelightError } from '../errors.js';
import { kindOf } from '../files/read.js';
import { detectT5Config } from './config/detect/t5.js';
import { readT5Config } from './config/diffusers/t5.js';
import type { T5EncoderConfig } from './config/types.js';
import { readConfig } from './config/validate.js';
import { openWeights } from './formats/open-weights.js';
import { findT5 } from './naming/t5.js';
import { ComponentWeights } from './weights/component.js';
import { findWeights } from './weights/find-weights.js';
import type { TensorIndex } from './weights/tensor-index.js';

export interface T5Source {
  readonly config: T5EncoderConfig;
  readonly weights: ComponentWeights;
}

/**
 * Opens a folder with a `config.json`, or a weights file: a lone encoder, a checkpoint with one, or llama.cpp's GGUF.
 * @param variant of a folder's weights, such as `fp16`
 * @throws FILE_NOT_FOUND, INVALID_FILE, MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL
 */
export async function openT5(path: string, variant?: string): Promise<T5Source> {
  if ((await kindOf(path)) !== 'folder') return t5FromTensors((await openWeights(path)).tensors, path);
  const file = join(path, 'config.json');
  const config = readT5Config(await readConfig(file), file);
  const { tensors } = await openWeights(await findWeights(path, variant));
  return { config, weights: weightsOf(tensors, path) };
}

/** Finds the encoder among a file's tensors and detects its config. */
export function t5FromTensors(tensors: TensorIndex, where: string): T5Source {
  const weights = weightsOf(tensors, where);
  return { config: detectT5Config(weights), weights };
}

function weightsOf(tensors: TensorIndex, where: string): ComponentWeights {
  const naming = findT5(tensors.keys());
  if (naming === null) {
    throw new SafelightError(
      'MISSING_TENSOR',
      `${where} has no tensor "encoder.block.0.layer.0.SelfAttention.q.weight" (enc.blk.0.attn_q.weight in GGUF) under any prefix, ` +
        'so it contains no T5 encoder; use another file',
    );
  }
  return new ComponentWeights('T5 encoder', where, tensors, naming);
}
