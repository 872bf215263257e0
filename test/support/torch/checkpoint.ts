import { readFileSync, writeFileSync } from 'node:fs';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import type { RawTensor } from '../tiny-models.js';
import { legacyForm, type Stored, stateDict, zipForm } from './write.js';

/** Reads the tensors of a safetensors file. */
export async function tensorsOf(path: string): Promise<Map<string, RawTensor>> {
  const bytes = readFileSync(path);
  const { tensors } = await openWeights(path);
  return new Map(
    [...tensors.values()].map(({ name, dtype, shape, offset, length }) => [
      name,
      { dtype, shape, data: bytes.subarray(offset, offset + length) },
    ]),
  );
}

/** Writes a safetensors file's tensors as `torch.save` would. */
export function writeTorch(
  path: string,
  tensors: ReadonlyMap<string, Stored>,
  form: 'zip' | 'legacy' = 'zip',
): string {
  const { pickle, storages } = stateDict(tensors);
  const counts = [...tensors.values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  const legacy = storages.map(([key, data], i): [string, number, Buffer] => [key, counts[i]!, data]);
  writeFileSync(path, form === 'zip' ? zipForm(pickle, storages) : legacyForm(pickle, legacy));
  return path;
}
