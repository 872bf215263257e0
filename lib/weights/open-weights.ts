import { readSafetensors } from './safetensors.js';
import { readShards } from './shards.js';
import type { TensorIndex } from './tensor-index.js';

/** A component's or a checkpoint's tensors, wherever they lie. */
export interface Weights {
  readonly files: readonly { readonly path: string; readonly size: number }[];
  readonly tensors: TensorIndex;
}

/** Reads one safetensors file, or a sharded set by its `*.safetensors.index.json`. */
export async function openWeights(path: string): Promise<Weights> {
  if (path.endsWith('.json')) {
    const { files, tensors } = await readShards(path);
    return { files: files.map(({ path, size }) => ({ path, size })), tensors };
  }
  const { path: file, size, tensors } = await readSafetensors(path);
  return { files: [{ path: file, size }], tensors };
}
