/**
 * Weight patches: changes to a module's weights that a run selects by name, with the tensors they are computed from.
 */
import { z } from 'zod';
import type { PatchPlan, PlannedPatch, WeightPlanEntry } from '../binding/types.js';
import { isSourceType } from '../checkpoint/formats/dtypes.js';
import { isBlockType, storageFor } from '../checkpoint/weights/storage.js';
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { defined } from '../defined.js';
import { SafelightError } from '../errors.js';

/** Range of rows or columns; `end` is exclusive. */
export type Range = readonly [begin: number, end: number];

/** Low-rank product `up [rows, r]` times `down [r, columns, ...]` (LoRA: Hu et al. 2021, arXiv:2106.09685). */
export interface LowRank {
  readonly up: TensorInfo;
  readonly down: TensorInfo;
}

/** A full difference, of the shape of the weight. */
export interface Full {
  readonly full: TensorInfo;
}

/** A change to one weight. Several patches of the same weight are summed. */
export interface WeightPatch {
  /** Canonical name of the parameter. */
  readonly target: string;
  readonly scale: number;
  /** Rows of the target that change, such as the query in a fused query-key-value matrix. Default: all. */
  readonly rows?: Range;
  /** Input columns that change, such as the 4 latent channels among the 9 of an inpainting model. Default: all. */
  readonly columns?: Range;
  /** Rows of the stored `up` or `full` tensor to read. Default: all. */
  readonly factorRows?: Range;
  readonly change: { readonly add: LowRank | Full };
}

const size = z.int().nonnegative();
const range = z.tuple([size, size]);
const tensor = z.looseObject({
  name: z.string(),
  file: z.string(),
  offset: size,
  length: size,
  dtype: z.string(),
  shape: z.array(size),
  strides: z.array(size).optional(),
  checksum: z.looseObject({ offset: size, length: size, crc: size }).optional(),
});
const schema = z.array(
  z.strictObject({
    target: z.string(),
    scale: z.number(),
    rows: range.optional(),
    columns: range.optional(),
    factorRows: range.optional(),
    change: z.strictObject({
      add: z.union([z.strictObject({ up: tensor, down: tensor }), z.strictObject({ full: tensor })]),
    }),
  }),
);

/** @throws INVALID_OPTION */
export function checkPatches(patches: unknown): asserts patches is readonly WeightPatch[] {
  const { success, error } = schema.safeParse(patches);
  if (success) return;
  const [issue] = error.issues;
  const detail = issue && issue.path.length > 0 ? `; ${issue.path.join('.')}: ${issue.message}` : '';
  throw new SafelightError(
    'INVALID_OPTION',
    `Expected patches to be an array of weight patches (target, scale and change)${detail}`,
  );
}

/** Returns the tensors that patches are computed from. */
export function tensorsOf(patches: readonly WeightPatch[]): TensorInfo[] {
  return patches.flatMap(({ change: { add } }) => ('full' in add ? [add.full] : [add.up, add.down]));
}

/**
 * Converts patches to the form of the native API.
 * @throws UNSUPPORTED_ADAPTER for a factor stored in quantized blocks
 */
export function planPatches(patches: readonly WeightPatch[]): PatchPlan {
  const plan = new PlanBuilder();
  const planned = patches.map(
    ({ target, scale, rows, columns, factorRows, change: { add } }): PlannedPatch => ({
      ...defined({ target, scale, rows, columns }),
      add:
        'full' in add
          ? { full: plan.entry(add.full, factorRows) }
          : { up: plan.entry(add.up, factorRows), down: plan.entry(add.down) },
    }),
  );
  return {
    weights: { files: [...plan.files.keys()], entries: [...plan.entries.values()] },
    patches: planned,
  };
}

/** Collects the factors, each once even if several patches read it. */
class PlanBuilder {
  readonly files = new Map<string, number>();
  readonly entries = new Map<string, WeightPlanEntry>();

  /** @returns the name of the factor's entry */
  entry(tensor: TensorInfo, rows?: Range): string {
    const { name, file, offset, length, dtype, shape, strides } = tensor;
    if (!isSourceType(dtype) || isBlockType(dtype)) {
      throw new SafelightError(
        'UNSUPPORTED_ADAPTER',
        `"${name}" in ${file} is stored as ${dtype}; use an adapter file stored as F32, F16 or BF16`,
      );
    }
    const index = this.files.get(file) ?? this.files.size;
    this.files.set(file, index);
    const key = `${name}${rows ? ` [${rows.join(', ')})` : ''} of ${file}`;
    if (this.entries.has(key)) return key;
    const entryShape = rows ? [rows[1] - rows[0], ...shape.slice(1)] : shape;
    this.entries.set(key, {
      name: key,
      shape: entryShape,
      source: { file: index, ...defined({ offset, length, type: dtype, shape, strides }) },
      ...(rows ? { transform: { op: 'rows', start: rows[0], end: rows[1] } } : {}),
      storage: storageFor({ role: 'matrix', shape: entryShape }, dtype),
    });
    return key;
  }
}
