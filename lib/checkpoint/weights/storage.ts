import type {
  BlockType,
  ReadOnlyType,
  SourceType,
  StorageType,
  WeightPlanEntry,
  WeightRequirement,
} from '../../binding/types.js';

/** Every type that weights can be converted to, the widest first. */
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

/** Elements and bytes of a block, and what is taken where a row is not whole blocks. */
const QUANTIZED: Readonly<Record<Quantized, { block: number; bytes: number; instead: StorageType }>> = {
  q8_0: { block: 32, bytes: 34, instead: 'f16' },
  q6_K: { block: 256, bytes: 210, instead: 'q8_0' },
  q5_K: { block: 256, bytes: 176, instead: 'q8_0' },
  q5_0: { block: 32, bytes: 22, instead: 'f16' },
  q4_K: { block: 256, bytes: 144, instead: 'q5_0' },
  q4_0: { block: 32, bytes: 18, instead: 'f16' },
};

/** How a file's own type is kept when no storage is asked for: no wider than it has to be, without losing a bit. */
const OWN: Readonly<Record<Exclude<SourceType, BlockType>, StorageType>> = {
  F64: 'f32',
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  F8_E4M3: 'f16',
  F8_E5M2: 'f16',
};

/** Kept under ggml's name: `Q4_K` is `q4_K`, all others are lower case. */
const KEPT: ReadonlyMap<string, StorageType | ReadOnlyType> = new Map(
  [
    ...['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'q2_K', 'q3_K', 'q4_K', 'q5_K', 'q6_K', 'q1_0'],
    ...['iq1_s', 'iq1_m', 'iq2_xxs', 'iq2_xs', 'iq2_s', 'iq3_xxs', 'iq3_s', 'iq4_nl', 'iq4_xs'],
    ...['tq1_0', 'tq2_0', 'mxfp4', 'nvfp4'],
  ].map((name) => [name.toUpperCase(), name as StorageType | ReadOnlyType]),
);

/** Whether a file's type is one of ggml's quantized ones. */
export function isBlockType(type: string): type is BlockType {
  return KEPT.has(type);
}

export function isQuantized(type: string): type is Quantized {
  return Object.hasOwn(QUANTIZED, type);
}

/** The storage itself, or the next one whose blocks fill rows of `row` elements: q4_K, q5_0, f16 for rows of 2560, 320 and 20. */
export function fitting(storage: StorageType, row: number): StorageType {
  let found = storage;
  while (isQuantized(found) && row % QUANTIZED[found].block !== 0) found = QUANTIZED[found].instead;
  return found;
}

/**
 * The storage of one parameter. Norms and biases always stay f32; only matrices are quantized, and where a quantized type is asked for
 * all else is f16.
 * @param source its type in the file, and whether it is turned on the way
 * @param wanted the storage asked for; without it, the file's own type
 */
export function storageFor(
  { role, shape }: Pick<WeightRequirement, 'role' | 'shape'>,
  source: SourceType,
  wanted?: StorageType,
  transform?: WeightPlanEntry['transform'],
): WeightPlanEntry['storage'] {
  if (role === 'vector') return 'f32';
  if (wanted === undefined && isBlockType(source)) {
    // Quantized once is enough: what has to be written anew, or kept in another form, is written as f16.
    const apart = transform?.op === 'transpose' || (transform?.groups ?? 1) > 1;
    return role === 'matrix' && !apart ? KEPT.get(source)! : 'f16';
  }
  const storage = wanted ?? OWN[source as keyof typeof OWN];
  if (!isQuantized(storage)) return storage;
  return role === 'matrix' ? fitting(storage, withoutTrailingOnes(shape).at(-1) ?? 1) : 'f16';
}

/** Bytes of `count` elements in memory or in a file; of a quantized type, whole blocks. */
export function storedBytes(count: number, storage: StorageType): number {
  if (isQuantized(storage)) return (count / QUANTIZED[storage].block) * QUANTIZED[storage].bytes;
  return storage === 'f32' ? 4 * count : 2 * count;
}

/** `[C, C, 1, 1]` and `[C, C]` are the same matrix. */
export function withoutTrailingOnes(shape: readonly number[]): readonly number[] {
  let end = shape.length;
  while (end > 1 && shape[end - 1] === 1) end--;
  return shape.slice(0, end);
}

/** The same numbers in the same order: as PyTorch has them, with trailing ones dropped, or (as ggml drops them) leading ones. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  const [short, other] = [trimmed(a), trimmed(b)];
  return short.length === other.length && short.every((side, i) => side === other[i]);
}

function trimmed(shape: readonly number[]): readonly number[] {
  const start = shape.findIndex((side) => side !== 1);
  return withoutTrailingOnes(start < 0 ? [1] : shape.slice(start));
}
