import type { TensorIndex } from '../weights/tensor-index.js';
import { isGgufFile, readGguf } from './gguf.js';
import type { GgufMetadata } from './gguf-metadata.js';
import { readSafetensors } from './safetensors.js';
import { isTorchFile, readTorch, type TorchOptions } from './torch/read-torch.js';

const MAX_NOTE = 1000;

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
  /** What its writer noted: `__metadata__` of safetensors, plain values of GGUF's metadata. */
  readonly notes?: ReadonlyMap<string, string>;
}

/** Reads a file by what it is, not by how it is called. @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL */
export async function readWeightFile(path: string, options: TorchOptions = {}): Promise<WeightFile> {
  if (await isTorchFile(path)) return readTorch(path, options);
  if (await isGgufFile(path)) {
    const file = await readGguf(path);
    return { ...file, averaged: false, notes: plainValues(file.metadata) };
  }
  const { path: absolute, size, tensors, metadata } = await readSafetensors(path);
  return { path: absolute, size, tensors, averaged: false, notes: metadata };
}

/** Short values as text; whole configs and vocabularies are no notes. */
function plainValues(metadata: GgufMetadata): Map<string, string> {
  const notes = new Map<string, string>();
  for (const [key, value] of metadata) {
    if (value.type === 'array') continue;
    const text = String(value.value);
    if (text.length <= MAX_NOTE) notes.set(key, text);
  }
  return notes;
}
