import type { TensorIndex } from '../weights/tensor-index.js';
import { isGgufFile, readGguf } from './gguf.js';
import type { GgufMetadata } from './gguf-metadata.js';
import { readSafetensors } from './safetensors.js';
import { isTorchFile, readTorch, type TorchOptions } from './torch/read-torch.js';

const MAX_NOTE = 1000;

/** A file of weights in any format. */
export interface WeightFile {
  /** Absolute path. */
  readonly path: string;
  /** Size of the file in bytes. */
  readonly size: number;
  readonly tensors: TensorIndex;
  /** True if the tensors are already the requested moving average. */
  readonly averaged: boolean;
  /** Metadata of a GGUF file. */
  readonly metadata?: GgufMetadata;
  /** Text metadata: `__metadata__` of safetensors, scalar values of GGUF's metadata. */
  readonly notes?: ReadonlyMap<string, string>;
}

/**
 * Reads a file in the format that its first bytes indicate, whatever its extension.
 * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL
 */
export async function readWeightFile(path: string, options: TorchOptions = {}): Promise<WeightFile> {
  if (await isTorchFile(path)) return readTorch(path, options);
  if (await isGgufFile(path)) {
    const file = await readGguf(path);
    return { ...file, averaged: false, notes: plainValues(file.metadata) };
  }
  const { path: absolute, size, tensors, metadata } = await readSafetensors(path);
  return { path: absolute, size, tensors, averaged: false, notes: metadata };
}

/** Returns short scalar values as text, without configs and vocabularies. */
function plainValues(metadata: GgufMetadata): Map<string, string> {
  const notes = new Map<string, string>();
  for (const [key, value] of metadata) {
    if (value.type === 'array') continue;
    const text = String(value.value);
    if (text.length <= MAX_NOTE) notes.set(key, text);
  }
  return notes;
}
