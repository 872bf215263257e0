import type {
  BlockType,
  ReadOnlyType,
  SourceType,
  StorageType,
  WeightPlanEntry,
  WeightRequirement,
} from '../../binding/types.js';

/** All types to which weights can be converted, widest first. */
export const storageTypes = [
  'f32',
  'f16',
  'bf16',
  'q8_0',
  'q6_K',
  'q5_K',
  'q5_0',
  'q4_K',
  'q4_0',
] as const satisfies readonly StorageType[];

type Quantized = Exclude<StorageType, 'f32' | 'f16' | 'bf16'>;

/** Elements and bytes per block, and the type used if a row is not a multiple of the block. */
const QUANTIZED: Readonly<Record<Quantized, { block: number; bytes: number; instead: StorageType }>> = {
  q8_0: { block: 32, bytes: 34, instead: 'f16' },
  q6_K: { block: 256, bytes: 210, instead: 'q8_0' },
  q5_K: { block: 256, bytes: 176, instead: 'q8_0' },
  q5_0: { block: 32, bytes: 22, instead: 'f16' },
  q4_K: { block: 256, bytes: 144, instead: 'q5_0' },
  q4_0: { block: 32, bytes: 18, instead: 'f16' },
};

/** Storage of each file type if none is requested: the narrowest lossless one. */
const DEFAULT_STORAGE: Readonly<Record<Exclude<SourceType, BlockType>, StorageType>> = {
  F64: 'f32',
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  F8_E4M3: 'f16',
  F8_E5M2: 'f16',
  I8: 'f16',
  I4: 'f16',
  F4_E2M1: 'f16',
};

/** Quantized types by their names in files: `q4_K` for `Q4_K`, lower case for all others. */
const QUANTIZED_NAMES: ReadonlyMap<string, StorageType | ReadOnlyType> = new Map(
  [
    ...['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'q2_K', 'q3_K', 'q4_K', 'q5_K', 'q6_K', 'q1_0'],
    ...['iq1_s', 'iq1_m', 'iq2_xxs', 'iq2_xs', 'iq2_s', 'iq3_xxs', 'iq3_s', 'iq4_nl', 'iq4_xs'],
    ...['tq1_0', 'tq2_0', 'mxfp4', 'nvfp4'],
  ].map((name) => [name.toUpperCase(), name as StorageType | ReadOnlyType]),
);

/** Returns true for a quantized type of ggml. */
export function isBlockType(type: string): type is BlockType {
  return QUANTIZED_NAMES.has(type);
}

export function isQuantized(type: string): type is Quantized {
  return Object.hasOwn(QUANTIZED, type);
}

/**
 * Returns the storage, or the first fallback whose blocks fill rows of `row` elements: q4_K, q5_0, f16 for rows of
 * 2560, 320 and 20.
 */
export function fittingStorage(storage: StorageType, row: number): StorageType {
  let fallback = storage;
  while (isQuantized(fallback) && row % QUANTIZED[fallback].block !== 0)
    fallback = QUANTIZED[fallback].instead;
  return fallback;
}

/**
 * Returns the storage of one parameter. Norms and biases are always f32. Only matrices are quantized; all other weights
 * are f16 if a quantized storage is requested.
 * @param source type in the file and transform of the parameter
 * @param requested the requested storage; default the file's own type
 */
export function storageFor(
  { role, shape }: Pick<WeightRequirement, 'role' | 'shape'>,
  source: SourceType,
  requested?: StorageType,
  transform?: WeightPlanEntry['transform'],
): WeightPlanEntry['storage'] {
  if (role === 'vector') return 'f32';
  if (requested === undefined && isBlockType(source)) {
    // Avoids requantization: quantized weights that a transform changes are stored as f16.
    const transformed = transform?.op === 'transpose' || (transform?.groups ?? 1) > 1;
    return role === 'matrix' && !transformed ? QUANTIZED_NAMES.get(source)! : 'f16';
  }
  const storage = requested ?? DEFAULT_STORAGE[source as keyof typeof DEFAULT_STORAGE];
  if (!isQuantized(storage)) return storage;
  return role === 'matrix' ? fittingStorage(storage, withoutTrailingOnes(shape).at(-1) ?? 1) : 'f16';
}

/** Returns the bytes of `count` elements in memory or in a file; quantized types use complete blocks. */
export function storedBytes(count: number, storage: StorageType): number {
  if (isQuantized(storage)) return (count / QUANTIZED[storage].block) * QUANTIZED[storage].bytes;
  return storage === 'f32' ? 4 * count : 2 * count;
}

/** Drops trailing dimensions of 1: `[C, C, 1, 1]` and `[C, C]` are the same matrix. */
export function withoutTrailingOnes(shape: readonly number[]): readonly number[] {
  let end = shape.length;
  while (end > 1 && shape[end - 1] === 1) end--;
  return shape.slice(0, end);
}

/** Returns true for shapes that differ only in trailing dimensions of 1, or in leading ones, which ggml drops. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  const [short, other] = [trimmed(a), trimmed(b)];
  return short.length === other.length && short.every((side, i) => side === other[i]);
}

function trimmed(shape: readonly number[]): readonly number[] {
  const start = shape.findIndex((side) => side !== 1);
  return withoutTrailingOnes(start < 0 ? [1] : shape.slice(start));
}
