import { isGgufFile, readGguf } from './gguf.js';
import type { GgufMetadata } from './gguf-metadata.js';
import { readSafetensors } from './safetensors.js';
import type { TensorIndex } from './tensor-index.js';
import { isTorchFile, readTorch, type TorchOptions } from './torch/read-torch.js';

/** One file of weights, whatever its form. */
export interface WeightFile {
  /** Absolute path. */
  readonly path: string;
  /** Bytes of the whole file. */
  readonly size: number;
  readonly tensors: TensorIndex;
  /** Whether the tensors are already the moving average that was asked for. */
  readonly averaged: boolean;
  /** Of a GGUF file. */
  readonly metadata?: GgufMetadata;
}

/** Reads a file by what it is, not by how it is called. @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL */
export async function readWeightFile(path: string, options: TorchOptions = {}): Promise<WeightFile> {
  if (await isTorchFile(path)) return readTorch(path, options);
  if (await isGgufFile(path)) return { ...(await readGguf(path)), averaged: false };
  const { path: absolute, size, tensors } = await readSafetensors(path);
  return { path: absolute, size, tensors, averaged: false };
}
