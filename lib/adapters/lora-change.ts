/** The change that the tensors of a file make to the weight of a layer, and the shape it needs that weight to have. */
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import type { AddChange, Hadamard, Kronecker, WeightPatch } from '../modules/weight-patch.js';
import type { LoraFile, LoraPart } from './lora-file.js';
import { scaleOf } from './lora-metadata.js';
import type { AdaptedComponent } from './model-layers.js';

/** A change of a weight as its file stores it. */
export interface StoredChange {
  readonly change: WeightPatch['change'];
  /** Strength at weight 1. */
  readonly scale: number;
  /** Shape of the weight that it changes: rows, columns, values of the kernel; null for an axis that any weight fits. */
  readonly size: readonly [rows: number | null, columns: number | null, kernel: number | null];
  /** The tensor that messages name. */
  readonly named: TensorInfo;
}

/**
 * Returns the change of a layer's weight, or null if the tensors change only its bias.
 * @param rows output rows of the weight
 * @param columns input columns of the weight
 * @throws INVALID_FILE for an incomplete set of tensors
 */
export function changeOf(
  part: LoraPart,
  component: AdaptedComponent,
  [rows, columns, ...kernel]: readonly number[],
  file: LoraFile,
): StoredChange | null {
  const { tensors } = part;
  if (tensors.weight) return multiplication(tensors.weight, part.onInput === true);
  const rotation = tensors.oft_blocks ?? tensors.oft_diag;
  if (rotation) return rotationOf(rotation, part, rows ?? 0);
  const added = lowRank(part, file) ?? hadamard(part, file, kernel) ?? kronecker(part, file, kernel);
  if (!added) return tensors.diff ? full(tensors.diff) : null;
  const { scalings } = file.metadata;
  const scaling = scalings.get(component) ?? scalings.get('');
  const factor = added.rank === null ? 1 : scaleOf(added.rank, part.alpha, scaling, part.place);
  if (!Number.isFinite(factor)) {
    throw invalid(file, `has the alpha ${part.alpha} for ${JSON.stringify(part.place)}`);
  }
  const { add, size, named } = added;
  if (!tensors.dora_scale) return { change: { add }, scale: factor, size, named };
  const magnitude = { tensor: tensors.dora_scale, axis: axisOf(tensors.dora_scale, columns ?? 0) };
  return { change: { add, factor, magnitude }, scale: 1, size, named };
}

interface Added {
  readonly add: AddChange['add'];
  /** Divides alpha; null if alpha has no effect. */
  readonly rank: number | null;
  readonly size: StoredChange['size'];
  readonly named: TensorInfo;
}

function lowRank(part: LoraPart, file: LoraFile): Added | undefined {
  const { lora_up: up, lora_down: down, lora_mid: mid } = part.tensors;
  if (!up && !down && !mid) return undefined;
  if (!up || !down) throw incomplete(part, file);
  const [rank = 0, columns = 0, ...kernel] = down.shape;
  if (up.shape[1] !== rank && !mid) throw invalid(file, disagreement(up, down));
  const size = [up.shape[0] ?? 0, columns, area(mid ? mid.shape.slice(2) : kernel)] as const;
  return { add: mid ? { up, down, mid } : { up, down }, rank, size, named: down };
}

function full(diff: TensorInfo): StoredChange {
  const [rows = 0, columns = 1, ...kernel] = diff.shape;
  return { change: { add: { full: diff } }, scale: 1, size: [rows, columns, area(kernel)], named: diff };
}

function hadamard(part: LoraPart, file: LoraFile, kernel: readonly number[]): Added | undefined {
  const { hada_w1_a: w1a, hada_w1_b: w1b, hada_w2_a: w2a, hada_w2_b: w2b } = part.tensors;
  const { hada_t1: t1, hada_t2: t2 } = part.tensors;
  if (!w1a && !w1b && !w2a && !w2b) return undefined;
  if (!w1a || !w1b || !w2a || !w2b || !t1 !== !t2) throw incomplete(part, file);
  const cores = t1 && t2;
  const [rank = 0, width = 0] = w1b.shape;
  const rows = (cores ? w1a.shape[1] : w1a.shape[0]) ?? 0;
  const spread = area(kernel);
  const size = cores
    ? ([rows, width, area(t1.shape.slice(2))] as const)
    : ([rows, width / spread, spread] as const);
  const factors: Hadamard['hadamard'] = { w1a, w1b, w2a, w2b, ...(cores ? { t1, t2 } : {}) };
  return { add: { hadamard: factors }, rank, size, named: w1b };
}

function kronecker(part: LoraPart, file: LoraFile, kernel: readonly number[]): Added | undefined {
  const { lokr_w1: w1, lokr_w1_a: w1a, lokr_w1_b: w1b } = part.tensors;
  const { lokr_w2: w2, lokr_w2_a: w2a, lokr_w2_b: w2b, lokr_t2: t2 } = part.tensors;
  const left = w1 ? w1.shape : w1a && w1b ? [w1a.shape[0] ?? 0, w1b.shape[1] ?? 0] : undefined;
  const right = w2 ? w2.shape : w2a && w2b ? rightShape(w2a, w2b, t2, area(kernel)) : undefined;
  if (!left && !right && !w1a && !w1b && !w2a && !w2b) return undefined;
  if (!left || !right) throw incomplete(part, file);
  const [rows = 0, columns = 0] = left;
  const [inner = 0, across = 0, ...own] = right;
  const ranked = (w2 ? undefined : w2b) ?? (w1 ? undefined : w1b);
  const factors: Kronecker['kronecker'] = {
    ...(w1 ? { w1 } : { w1a: w1a!, w1b: w1b! }),
    ...(w2 ? { w2 } : { w2a: w2a!, w2b: w2b!, ...(t2 ? { t2 } : {}) }),
  };
  return {
    add: { kronecker: factors },
    // Two whole matrices have no rank, and trainers then ignore alpha.
    rank: ranked?.shape[0] ?? null,
    size: [rows * inner, columns * across, area(own)],
    named: (w2 ?? w2a)!,
  };
}

/** Shape of the right side that two factors make: `[rows, r] · [r, columns ...]`, or around a core `[r, r, kh, kw]`. */
function rightShape(a: TensorInfo, b: TensorInfo, core: TensorInfo | undefined, spread: number): number[] {
  if (core) return [a.shape[1] ?? 0, b.shape[1] ?? 0, ...core.shape.slice(2)];
  return [a.shape[0] ?? 0, area(b.shape.slice(1)) / spread, spread];
}

/** LyCORIS' IA3: a vector over outputs or inputs, with ones around it for a convolution. */
function multiplication(weight: TensorInfo, onInput: boolean): StoredChange {
  const length = area(weight.shape);
  return {
    change: { multiply: weight, axis: onInput ? 'input' : 'output' },
    scale: 1,
    size: onInput ? [null, length, null] : [length, null, null],
    named: weight,
  };
}

function rotationOf(blocks: TensorInfo, { tensors, alpha }: LoraPart, rows: number): StoredChange {
  const staged = blocks.shape.length === 4;
  const [count = 0, side = 0] = blocks.shape.slice(staged ? 1 : 0);
  const kind = tensors.oft_diag === blocks ? 'rotation' : staged ? 'boft' : 'oft';
  return {
    change: {
      ...{ rotate: blocks, kind },
      // alpha bounds the norm of the generators per output row; 0 means that there is no bound.
      ...(alpha !== undefined && alpha > 0 && kind !== 'rotation' ? { constraint: alpha * rows } : {}),
      ...(tensors.rescale ? { rescale: tensors.rescale } : {}),
    },
    scale: 1,
    size: [count * side, null, null],
    named: blocks,
  };
}

/** `[rows, 1, ...]` or `[rows]` has a norm per output row (PEFT, LyCORIS' default), `[1, columns, 1, 1]` one per input column. */
function axisOf({ shape }: TensorInfo, columns: number): 'output' | 'input' {
  return shape.length > 1 && shape[0] === 1 && shape[1] === columns && area(shape) === columns
    ? 'input'
    : 'output';
}

function area(sides: readonly number[]): number {
  return sides.reduce((product, side) => product * side, 1);
}

function disagreement(up: TensorInfo, down: TensorInfo): string {
  return `has ${JSON.stringify(up.name)} of rank ${up.shape[1]} and ${JSON.stringify(down.name)} of rank ${down.shape[0]}`;
}

function incomplete({ keys }: LoraPart, file: LoraFile): SafelightError {
  return invalid(file, `has ${JSON.stringify(keys[0])} without the other tensors of its layer`);
}

function invalid({ path }: LoraFile, problem: string): SafelightError {
  return new SafelightError('INVALID_FILE', `${path} ${problem}; it is damaged: download it again`);
}
