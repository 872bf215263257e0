/** Patch sets as the native side reads them: where the factors lie, which weights are rewritten, and in which storage. */
import type { StoredWeights } from '../binding/module.js';
import type { PatchKind, PatchPlan, PlannedPatch, StorageType, WeightPlanEntry } from '../binding/types.js';
import { isSourceType } from '../checkpoint/formats/dtypes.js';
import { entryBytes } from '../checkpoint/weights/plan-bytes.js';
import {
  fittingStorage,
  isBlockType,
  storageFor,
  storedBytes,
  withoutTrailingOnes,
} from '../checkpoint/weights/storage.js';
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { defined } from '../defined.js';
import { SafelightError } from '../errors.js';
import { elementCount } from '../tensor/shape.js';
import { factorsOf, type Range, type WeightPatch } from './weight-patch.js';

/** Factors of these roles have the rows of the difference, and are cut where only a part of them is used. */
const CUT: ReadonlySet<string> = new Set(['up', 'full', 'w1_a', 'w2_a', 'magnitude', 'weight']);

/**
 * @param stored of the module to be patched
 * @throws UNSUPPORTED_ADAPTER for a factor of a type that cannot be computed with, or a part of a form that has no parts
 */
export function planPatches(patches: readonly WeightPatch[], stored: StoredWeights): PatchPlan {
  const plan = new PlanBuilder();
  const planned = patches.map((patch): PlannedPatch => {
    const { target, scale, rows, columns, factorRows, change } = patch;
    const kind = kindOf(change);
    const part = factorRows && checkPart(patch, kind);
    const factors = Object.entries(factorsOf(change)).map(([role, tensor]) => {
      const cut = part && CUT.has(role) && kind !== 'kronecker' ? part : undefined;
      return [role, plan.entry(tensor, cut)] as const;
    });
    return {
      ...defined({ target, scale, rows, columns, ...numbersOf(change) }),
      ...(part && kind === 'kronecker' ? { factorRows: part } : {}),
      kind,
      factors: Object.fromEntries(factors),
    };
  });
  return {
    weights: { files: [...plan.files.keys()], entries: [...plan.entries.values()] },
    patches: planned,
    merged: mergedParameters(patches, stored),
  };
}

function kindOf(change: WeightPatch['change']): PatchKind {
  if ('multiply' in change) return 'multiply';
  if ('rotate' in change) return change.kind === 'boft' ? 'butterfly' : 'rotate';
  if ('full' in change.add) return 'full';
  if ('hadamard' in change.add) return 'hadamard';
  return 'kronecker' in change.add ? 'kronecker' : 'low_rank';
}

function numbersOf(change: WeightPatch['change']): Pick<PlannedPatch, 'factor' | 'axis' | 'constraint'> {
  if ('multiply' in change) return { axis: change.axis };
  if ('rotate' in change) return defined({ constraint: change.constraint });
  return defined({ factor: change.factor, axis: change.magnitude?.axis });
}

/** Some rows of a difference exist only where they are those of a factor or of the product itself. */
function checkPart({ target, factorRows, change }: WeightPatch, kind: PatchKind): Range | undefined {
  const across = 'add' in change && change.magnitude?.axis === 'input';
  const cores = 'add' in change && 'hadamard' in change.add && change.add.hadamard.t1 !== undefined;
  if (kind !== 'rotate' && kind !== 'butterfly' && !across && !cores) return factorRows;
  throw new SafelightError(
    'UNSUPPORTED_ADAPTER',
    `The change of ${target} is stored for query, key and value in one matrix, in a form that cannot be split (${kind}); convert the adapter to a plain LoRA`,
  );
}

/** True for a change that can be computed next to the product with its weight. */
function isBranch(change: WeightPatch['change']): boolean {
  if (!('add' in change) || change.magnitude) return false;
  return 'full' in change.add || ('up' in change.add && change.add.mid === undefined);
}

const FLOATS: ReadonlySet<string> = new Set(['f32', 'f16', 'bf16']);

function mergedParameters(patches: readonly WeightPatch[], stored: StoredWeights): PatchPlan['merged'] {
  const merged = new Map<string, StorageType>();
  for (const { target, change } of patches) {
    const parameter = stored.parameters.get(target);
    // A name that the module does not have is rejected by the native side.
    if (!parameter) continue;
    const { storage, shape } = parameter;
    const inMemory = FLOATS.has(storage) && !stored.mapped;
    if (!inMemory && isBranch(change) && shape.length > 1) continue;
    const matrix = withoutTrailingOnes(shape);
    const copy = matrix.length > 2 ? 'f16' : fittingStorage('q8_0', matrix.at(-1) ?? 1);
    merged.set(target, FLOATS.has(storage) ? (storage as StorageType) : copy);
  }
  return [...merged].map(([target, storage]) => ({ target, storage }));
}

/** Returns the bytes that a patch set takes: copies of rewritten weights, and factors of the changes that runs compute. */
export function patchBytes(patches: readonly WeightPatch[], stored: StoredWeights): number {
  const { weights, patches: planned, merged } = planPatches(patches, stored);
  const rewritten = new Map(merged.map(({ target, storage }) => [target, storage]));
  const factors = new Set(
    planned.flatMap((patch) => (rewritten.has(patch.target) ? [] : Object.values(patch.factors))),
  );
  const kept = weights.entries.filter(({ name }) => factors.has(name));
  const copies = [...rewritten].map(([target, storage]) =>
    storedBytes(elementCount(stored.parameters.get(target)?.shape ?? []), storage),
  );
  return [...copies, ...kept.map(entryBytes)].reduce((sum, bytes) => sum + bytes, 0);
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
        `"${name}" in ${file} is stored as ${dtype}, which adapters cannot be read in; use a file in F32, F16 or BF16`,
      );
    }
    const index = this.files.get(file) ?? this.files.size;
    this.files.set(file, index);
    const key = `${name}${rows ? ` [${rows.join(', ')})` : ''} of ${file}`;
    if (this.entries.has(key)) return key;
    const cut = rows ? [rows[1] - rows[0], ...shape.slice(1)] : shape;
    this.entries.set(key, {
      name: key,
      // A scalar is a vector of one.
      shape: cut.length > 0 ? cut : [1],
      source: {
        file: index,
        ...defined({ offset, length, type: dtype, shape: shape.length > 0 ? shape : [1], strides }),
      },
      ...(rows ? { transform: { op: 'rows', start: rows[0], end: rows[1] } } : {}),
      storage: storageFor({ role: 'matrix', shape: cut }, dtype),
    });
    return key;
  }
}
