import { resolve } from 'node:path';
import { defined } from '../../defined.js';
import { withAverages } from '../weights/ema.js';
import type { TensorIndex } from '../weights/tensor-index.js';
import type { GgufMetadata } from './gguf-metadata.js';
import { withScales } from './scaled-weights.js';
import { readShards } from './shards.js';
import type { TorchOptions } from './torch/read-torch.js';
import { readWeightFile, type WeightFile } from './weight-file.js';

/** The tensors of a component or checkpoint, possibly from several files. */
export interface Weights {
  readonly files: readonly { readonly path: string; readonly size: number }[];
  readonly tensors: TensorIndex;
  /** Metadata of a GGUF file; empty for other formats. */
  readonly metadata?: GgufMetadata;
  /** Text metadata of the files; for shards, from the first file that has the key. */
  readonly notes: ReadonlyMap<string, string>;
}

/** With `ema`, the moving average replaces the weights. */
export type OpenWeightsOptions = TorchOptions;

/**
 * Opens a safetensors or GGUF file, a PyTorch checkpoint (`.ckpt`, `.pt`, `.pth`, `.bin`; no code in it is executed),
 * or a sharded set by its `*.index.json`.
 * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR for `ema` without averages
 */
export async function openWeights(path: string, options: OpenWeightsOptions = {}): Promise<Weights> {
  const { files, tensors, averaged, metadata } = await readAll(path, options);
  const notes = new Map(files.toReversed().flatMap((file) => [...(file.notes ?? [])]));
  return {
    files: files.map(({ path, size }) => ({ path, size })),
    tensors: await withScales(
      options.ema && !averaged ? withAverages(tensors, resolve(path)) : tensors,
      notes.get('_quantization_metadata'),
    ),
    ...defined({ metadata }),
    notes,
  };
}

async function readAll(
  path: string,
  options: OpenWeightsOptions,
): Promise<Pick<WeightFile, 'tensors' | 'averaged' | 'metadata'> & { files: readonly WeightFile[] }> {
  if (path.endsWith('.json')) {
    const shards = await readShards(path, (file) => readWeightFile(file, options));
    return { ...shards, averaged: shards.files.some(({ averaged }) => averaged) };
  }
  const file = await readWeightFile(path, options);
  return { ...file, files: [file] };
}
