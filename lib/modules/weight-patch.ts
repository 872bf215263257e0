/** Changes to a module's weights, which a run can ask for: where their factors lie, and what of which weight they change. */
import { z } from 'zod';
import type { PatchPlan, PlannedPatch, WeightPlanEntry } from '../binding/types.js';
import { isSourceType } from '../checkpoint/formats/dtypes.js';
import { isBlockType, storageFor } from '../checkpoint/weights/storage.js';
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { defined } from '../defined.js';
import { SafelightError } from '../errors.js';

/** Rows or columns, from the first to the one before the last. */
export type Range = readonly [begin: number, end: number];

/** A product of two factors, `up [rows, r]` times `down [r, columns, ...]` (LoRA: Hu et al. 2021, arXiv:2106.09685). */
export interface LowRank {
  readonly up: TensorInfo;
  readonly down: TensorInfo;
}

/** A difference of the weight's own size. */
export interface Full {
  readonly full: TensorInfo;
}

/** One change to one weight. Patches of one weight add up. */
export interface WeightPatch {
  /** Canonical name of the parameter. */
  readonly target: string;
  readonly scale: number;
  /** Part of the target that changes (a query in a matrix that holds query, key and value). */
  readonly rows?: Range;
  /** Inputs that the change reads (the 4 channels of a latent, of the 9 of an inpainting model). */
  readonly columns?: Range;
  /** Part of the stored factor: of `up`, or of the difference. */
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
  const where = issue && issue.path.length > 0 ? `; ${issue.path.join('.')}: ${issue.message}` : '';
  throw new SafelightError(
    'INVALID_OPTION',
    `Expected an array of changes to weights for patches (target, scale and change)${where}`,
  );
}

/** The tensors that patches read. */
export function tensorsOf(patches: readonly WeightPatch[]): TensorInfo[] {
  return patches.flatMap(({ change: { add } }) => ('full' in add ? [add.full] : [add.up, add.down]));
}

/** As the native side takes them. @throws UNSUPPORTED_ADAPTER for a factor of a type that cannot be computed with */
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

/** Each factor once, however many patches read it. */
class PlanBuilder {
  readonly files = new Map<string, number>();
  readonly entries = new Map<string, WeightPlanEntry>();

  /** @returns the name of the factor's entry */
  entry(tensor: TensorInfo, rows?: Range): string {
    const { name, file, offset, length, dtype, shape, strides } = tensor;
    if (!isSourceType(dtype) || isBlockType(dtype)) {
      throw new SafelightError(
        'UNSUPPORTED_ADAPTER',
        `"${name}" in ${file} is stored as ${dtype}; take the file in F32, F16 or BF16`,
      );
    }
    const index = this.files.get(file) ?? this.files.size;
    this.files.set(file, index);
    const key = `${name}${rows ? ` [${rows.join(', ')})` : ''} of ${file}`;
    if (this.entries.has(key)) return key;
    const kept = rows ? [rows[1] - rows[0], ...shape.slice(1)] : shape;
    this.entries.set(key, {
      name: key,
      shape: kept,
      source: { file: index, ...defined({ offset, length, type: dtype, shape, strides }) },
      ...(rows ? { transform: { op: 'rows', start: rows[0], end: rows[1] } } : {}),
      storage: storageFor({ role: 'matrix', shape: kept }, dtype),
    });
    return key;
  }
}
