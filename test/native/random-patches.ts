/** Deterministic low-rank changes to every linear layer and convolution of a module. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requirements } from '../../lib/binding/module.js';
import type {
  ModuleKind,
  NativeConfig,
  PatchPlan,
  PlannedPatch,
  WeightPlanEntry,
} from '../../lib/binding/types.js';
import { f16, noise } from '../support/tiny-models.js';
import { product } from './tiny.js';

/**
 * Returns a patch plan with values derived from the names of the weights.
 * @param folder folder for the file with the factors
 * @param part if true, changes only some rows and columns of each weight
 */
export function randomPatches(
  kind: ModuleKind,
  config: NativeConfig,
  folder: string,
  { rank = 4, type = 'F32' as 'F32' | 'F16', part = false } = {},
): PatchPlan {
  const chunks: Uint8Array[] = [];
  const entries: WeightPlanEntry[] = [];
  let offset = 0;
  const factor = (name: string, shape: readonly number[], amplitude: number): string => {
    const values = noise(name, product(shape)).map((value) => value * amplitude);
    const array = type === 'F32' ? values : Uint16Array.from(values, f16);
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    const source = { file: 0, offset, length: bytes.length, type, shape };
    entries.push({ name, shape, source, storage: type === 'F32' ? 'f32' : 'f16' });
    chunks.push(bytes);
    offset += bytes.length;
    return name;
  };
  const patches = requirements(kind, config).flatMap(({ name, shape, role }): PlannedPatch[] => {
    if (role !== 'matrix' && role !== 'conv') return [];
    const [out = 0, inputs = 0, ...kernel] = shape;
    const rows = part ? ([Math.floor(out / 3), out] as const) : ([0, out] as const);
    const columns = part ? ([0, Math.ceil(inputs / 2)] as const) : ([0, inputs] as const);
    const reads = [columns[1] - columns[0], ...kernel];
    // About 1 / sqrt(inputs), rounded to a power of two, so that f16 represents the factors well.
    const small = 2 ** -Math.round(Math.log2(product(reads)) / 2);
    const down = factor(`${name} down`, [rank, ...reads], small);
    const up = factor(`${name} up`, [rows[1] - rows[0], rank], 0.5);
    return [{ target: name, kind: 'low_rank', factors: { up, down }, scale: 0.75, rows, columns }];
  });
  const path = join(folder, `patches-${kind}-${type}-${rank}-${part}-${offset}.bin`);
  writeFileSync(path, Buffer.concat(chunks));
  return { weights: { files: [path], entries }, patches, merged: [] };
}
