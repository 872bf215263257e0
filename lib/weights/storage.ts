import type { SourceType, StorageType, WeightRequirement } from '../native/types.js';

/** Elements of a q8_0 block; the rows of a quantized matrix are whole blocks. */
const Q8_BLOCK = 32;

/** How a file's own type is kept when no storage is asked for: no wider than it has to be, without losing a bit. */
const OWN: Readonly<Record<SourceType, StorageType>> = {
  F64: 'f32',
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  F8_E4M3: 'f16',
  F8_E5M2: 'f16',
};

/**
 * The storage of one parameter. Norms and biases always stay f32; of q8_0, only matrices with rows of whole blocks are quantized and
 * everything else is f16.
 * @param wanted the storage asked for; without it, the file's own type
 */
export function storageFor(
  { role, shape }: Pick<WeightRequirement, 'role' | 'shape'>,
  source: SourceType,
  wanted?: StorageType,
): StorageType {
  if (role === 'vector') return 'f32';
  const storage = wanted ?? OWN[source];
  if (storage !== 'q8_0') return storage;
  const row = withoutTrailingOnes(shape).at(-1) ?? 1;
  return role === 'matrix' && row % Q8_BLOCK === 0 ? 'q8_0' : 'f16';
}

/** Bytes of `count` elements in memory. */
export function storedBytes(count: number, storage: StorageType): number {
  // A q8_0 block is 32 bytes and an f16 scale.
  return storage === 'f32' ? 4 * count : storage === 'q8_0' ? (count / Q8_BLOCK) * 34 : 2 * count;
}

/** `[C, C, 1, 1]` and `[C, C]` are the same matrix. */
export function withoutTrailingOnes(shape: readonly number[]): readonly number[] {
  let end = shape.length;
  while (end > 1 && shape[end - 1] === 1) end--;
  return shape.slice(0, end);
}
