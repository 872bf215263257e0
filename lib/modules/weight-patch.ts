/** Changes to a module's weights that a run can request: which weight, in which form, and where the factors are stored. */
import { z } from 'zod';
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';

/** Rows or columns [begin, end). */
export type Range = readonly [begin: number, end: number];

/**
 * A product of two factors, `up [rows, r]` times `down [r, columns, ...]` (LoRA: Hu et al. 2021, arXiv:2106.09685). With a Tucker core
 * `mid [r, r, kh, kw]`, `down` is `[r, columns]`.
 */
export interface LowRank {
  readonly up: TensorInfo;
  readonly down: TensorInfo;
  readonly mid?: TensorInfo;
}

/** A difference of the weight's own size. */
export interface Full {
  readonly full: TensorInfo;
}

/**
 * An elementwise product of two low-rank matrices, `(w1a · w1b) ⊙ (w2a · w2b)` (LoHa: Hyeon-Woo et al. 2022, arXiv:2108.06098), with
 * `w1a [rows, r]` and `w1b [r, columns ...]`. With cores `t1` and `t2 [r, r, kh, kw]` they are `[r, rows]` and `[r, columns]`.
 */
export interface Hadamard {
  readonly hadamard: {
    readonly w1a: TensorInfo;
    readonly w1b: TensorInfo;
    readonly w2a: TensorInfo;
    readonly w2b: TensorInfo;
    readonly t1?: TensorInfo;
    readonly t2?: TensorInfo;
  };
}

/** A Kronecker product `w1 ⊗ w2` (LoKr: Yeh et al. 2024, arXiv:2309.14859), each side whole or as two factors; `w2` may have a core `t2`. */
export interface Kronecker {
  readonly kronecker: {
    readonly w1?: TensorInfo;
    readonly w1a?: TensorInfo;
    readonly w1b?: TensorInfo;
    readonly w2?: TensorInfo;
    readonly w2a?: TensorInfo;
    readonly w2b?: TensorInfo;
    readonly t2?: TensorInfo;
  };
}

/** Adds `scale · factor · difference`. */
export interface AddChange {
  readonly add: LowRank | Full | Hadamard | Kronecker;
  /** Multiplies the difference; default 1. */
  readonly factor?: number;
  /**
   * Learned norms of the changed weight's output rows or input columns: the weight becomes `W + scale · (m · W' / ||W'|| − W)`, where
   * `W' = W + factor · difference` (DoRA: Liu et al. 2024, arXiv:2402.09353).
   */
  readonly magnitude?: { readonly tensor: TensorInfo; readonly axis: 'output' | 'input' };
}

/** Multiplies output rows or input columns by `1 + scale · m` (IA3: Liu et al. 2022, arXiv:2205.05638). */
export interface MultiplyChange {
  readonly multiply: TensorInfo;
  readonly axis: 'output' | 'input';
}

/**
 * Rotates output rows by blocks. `oft` (Qiu et al. 2023, arXiv:2306.07280) has generators `[n, b, b]`, `boft` (Liu et al. 2024,
 * arXiv:2311.06243) `[stages, n, b, b]`, `rotation` the rotations `[n, b, b]` themselves.
 */
export interface RotateChange {
  readonly rotate: TensorInfo;
  readonly kind: 'oft' | 'boft' | 'rotation';
  /** Bound of the Frobenius norm of all generators together; default none. */
  readonly constraint?: number;
  /** Multiplies the rotated rows. */
  readonly rescale?: TensorInfo;
}

/** One change to one weight. Patches of one weight apply in the order given, each to the result of the one before. */
export interface WeightPatch {
  /** Canonical name of the parameter. */
  readonly target: string;
  /** Strength of the change; 0 changes nothing. */
  readonly scale: number;
  /** Part of the target that changes (a query in a matrix that holds query, key and value). */
  readonly rows?: Range;
  /** Inputs that the change reads (the 4 channels of a latent, of the 9 of an inpainting model). */
  readonly columns?: Range;
  /** Part of the difference's rows that is used. */
  readonly factorRows?: Range;
  readonly change: AddChange | MultiplyChange | RotateChange;
}

const size = z.int().nonnegative();
const range = z.tuple([size, size]);
const tensor = z.lazy(() =>
  z.looseObject({
    name: z.string(),
    file: z.string(),
    offset: size,
    length: size,
    dtype: z.string(),
    shape: z.array(size),
    strides: z.array(size).optional(),
    checksum: z.looseObject({ offset: size, length: size, crc: size }).optional(),
  }),
);
const optional = tensor.optional();
const axis = z.enum(['output', 'input']);
const schema = z.array(
  z.strictObject({
    target: z.string(),
    scale: z.number(),
    rows: range.optional(),
    columns: range.optional(),
    factorRows: range.optional(),
    change: z.union([
      z.strictObject({
        add: z.union([
          z.strictObject({ up: tensor, down: tensor, mid: optional }),
          z.strictObject({ full: tensor }),
          z.strictObject({
            hadamard: z.strictObject({
              ...{ w1a: tensor, w1b: tensor, w2a: tensor, w2b: tensor },
              ...{ t1: optional, t2: optional },
            }),
          }),
          z.strictObject({
            kronecker: z.strictObject({
              ...{ w1: optional, w1a: optional, w1b: optional },
              ...{ w2: optional, w2a: optional, w2b: optional, t2: optional },
            }),
          }),
        ]),
        factor: z.number().optional(),
        magnitude: z.strictObject({ tensor, axis }).optional(),
      }),
      z.strictObject({ multiply: tensor, axis }),
      z.strictObject({
        rotate: tensor,
        kind: z.enum(['oft', 'boft', 'rotation']),
        constraint: z.number().optional(),
        rescale: optional,
      }),
    ]),
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

/** The factors of a change by the roles that native/runtime/patches gives them. */
export function factorsOf(change: WeightPatch['change']): Readonly<Record<string, TensorInfo>> {
  const roles = rolesOf(change);
  return Object.fromEntries(
    Object.entries(roles).filter((entry): entry is [string, TensorInfo] => !!entry[1]),
  );
}

function rolesOf(change: WeightPatch['change']): Readonly<Record<string, TensorInfo | undefined>> {
  if ('multiply' in change) return { weight: change.multiply };
  if ('rotate' in change) {
    const role = change.kind === 'rotation' ? 'rotations' : 'blocks';
    return { [role]: change.rotate, rescale: change.rescale };
  }
  const magnitude = change.magnitude?.tensor;
  if ('hadamard' in change.add) {
    const { w1a, w1b, w2a, w2b, t1, t2 } = change.add.hadamard;
    return { w1_a: w1a, w1_b: w1b, w2_a: w2a, w2_b: w2b, t1, t2, magnitude };
  }
  if ('kronecker' in change.add) {
    const { w1, w1a, w1b, w2, w2a, w2b, t2 } = change.add.kronecker;
    return { w1, w1_a: w1a, w1_b: w1b, w2, w2_a: w2a, w2_b: w2b, t2, magnitude };
  }
  return { ...change.add, magnitude };
}

/** The tensors that patches read. */
export function tensorsOf(patches: readonly WeightPatch[]): TensorInfo[] {
  return patches.flatMap(({ change }) => Object.values(factorsOf(change)));
}
