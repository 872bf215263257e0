/** Reads the change of a layer's weight from the tensors of a file, with the shapes that they must have. */
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import type { AddChange, Hadamard, Kronecker, WeightPatch } from '../modules/weight-patch.js';
import { elementCount } from '../tensor/shape.js';
import type { LoraFile, LoraPart } from './lora-file.js';
import { scaleOf } from './lora-metadata.js';
import { withLeadingRanks } from './lora-ranks.js';
import type { AdaptedComponent } from './model-layers.js';

/** Rows, columns and kernel values of a weight; null for an axis that any weight fits. */
export type ChangeSize = readonly [rows: number | null, columns: number | null, kernel: number | null];

/** A change of a weight as its file stores it. */
export interface StoredChange {
  readonly change: WeightPatch['change'];
  /** Strength at weight 1. */
  readonly scale: number;
  /** Size of the weights that it fits. */
  readonly size: ChangeSize;
  /** The tensor that determines the size, for messages. */
  readonly named: TensorInfo;
  /** Further tensors, with the shapes that they must have up to ones. */
  readonly expected: readonly (readonly [tensor: TensorInfo, shape: readonly number[]])[];
}

/**
 * Returns the change of a layer's weight, or undefined if the tensors change only its bias.
 * @param shape of the weight, with the rows of the file's layer
 * @throws INVALID_FILE for a set of tensors that is incomplete or mixes forms
 */
export function changeOf(
  part: LoraPart,
  component: AdaptedComponent,
  shape: readonly number[],
  file: LoraFile,
): StoredChange | undefined {
  const [rows = 0, columns = 0, ...kernel] = shape;
  const { tensors } = part;
  const rotation = tensors.oft_blocks ?? tensors.oft_diag;
  const added = [lowRank(part, file), hadamard(part, file, kernel), kronecker(part, file, kernel)];
  const forms = [
    ...added.flatMap((form) => (form ? [withScale(form, part, component, columns, file)] : [])),
    ...(tensors.weight ? [multiplication(tensors.weight, part.onInput === true)] : []),
    ...(rotation ? [rotationOf(rotation, part, rows, file)] : []),
  ];
  if (forms.length > 1) throw invalid(file, `mixes several forms for ${JSON.stringify(part.layer)}`);
  return forms[0];
}

/** A difference without its scale. */
interface Difference {
  readonly add: AddChange['add'];
  /** Divides alpha; null if alpha has no effect. */
  readonly rank: number | null;
  readonly size: StoredChange['size'];
  readonly named: TensorInfo;
  readonly expected: StoredChange['expected'];
}

function withScale(
  { add, rank, size, named, expected }: Difference,
  part: LoraPart,
  component: AdaptedComponent,
  columns: number,
  file: LoraFile,
): StoredChange {
  const { scalings } = file.metadata;
  const scaling = scalings.get(component) ?? scalings.get('');
  // PEFT divides its alpha by the rank of its config where factors are stored as one matrix.
  const ranked = rank ?? (part.alpha === undefined ? scaling?.rank : undefined);
  const factor = ranked === undefined ? 1 : scaleOf(ranked, part.alpha, scaling, part.layer);
  checkAlpha(part, factor, file);
  const { dora_scale: scaled, lora_magnitude_vector: ofRows } = part.tensors;
  const magnitude = scaled ?? ofRows;
  if (!magnitude) return { change: { add }, scale: factor, size, named, expected };
  const axis = scaled ? axisOf(scaled, columns) : 'output';
  const side = axis === 'input' ? columns : (size[0] ?? 0);
  return {
    change: { add, factor, magnitude: { tensor: magnitude, axis } },
    ...{ scale: 1, size, named },
    expected: [...expected, [magnitude, [side]]],
  };
}

function lowRank(part: LoraPart, file: LoraFile): Difference | undefined {
  const { lora_up: up, lora_down: down, lora_mid: mid } = part.tensors;
  if (!up && !down && !mid) return undefined;
  if (!up || !down) throw incomplete(part, file);
  const [rank = 0, columns = 0, ...kernel] = down.shape;
  const [rows = 0] = up.shape;
  if (!mid) {
    const size = [rows, columns, elementCount(kernel)] as const;
    // The scale is that of all ranks, as in A1111.
    const used = withLeadingRanks({ up, down }, file.ranks);
    const ranks = used.down.shape[0] ?? 0;
    return { add: used, rank, size, named: down, expected: [[used.up, [rows, ranks]]] };
  }
  const [left = 0, right = 0, ...core] = mid.shape;
  const expected = [[up, [rows, left]] as const, [down, [right, columns]] as const];
  return { add: { up, down, mid }, rank, size: [rows, columns, elementCount(core)], named: mid, expected };
}

/** Returns the whole difference of a layer's weight. */
export function fullChange(diff: TensorInfo): StoredChange {
  const [rows = 0, columns = 1, ...kernel] = diff.shape;
  const size = [rows, columns, elementCount(kernel)] as const;
  return { change: { add: { full: diff } }, scale: 1, size, named: diff, expected: [] };
}

function hadamard(part: LoraPart, file: LoraFile, kernel: readonly number[]): Difference | undefined {
  const { hada_w1_a: w1a, hada_w1_b: w1b, hada_w2_a: w2a, hada_w2_b: w2b } = part.tensors;
  const { hada_t1: t1, hada_t2: t2 } = part.tensors;
  if (!w1a && !w1b && !w2a && !w2b && !t1 && !t2) return undefined;
  if (!w1a || !w1b || !w2a || !w2b || !t1 !== !t2) throw incomplete(part, file);
  const [rank = 0, width = 0] = w1b.shape;
  if (t1 && t2) {
    const rows = w1a.shape[1] ?? 0;
    const [first, second] = [t1.shape, t2.shape];
    return {
      add: { hadamard: { w1a, w1b, w2a, w2b, t1, t2 } },
      ...{ rank, size: [rows, width, elementCount(first.slice(2))] as const, named: w1b },
      expected: [
        [t2, [second[0] ?? 0, second[1] ?? 0, ...first.slice(2)]],
        ...[w1a, w2a].map((a, i) => [a, [(i ? second : first)[0] ?? 0, rows]] as const),
        ...[w1b, w2b].map((b, i) => [b, [(i ? second : first)[1] ?? 0, width]] as const),
      ],
    };
  }
  const rows = w1a.shape[0] ?? 0;
  const spread = elementCount(kernel);
  const factors: Hadamard['hadamard'] = { w1a, w1b, w2a, w2b };
  return {
    add: { hadamard: factors },
    ...{ rank, size: [rows, width / spread, spread] as const, named: w1b },
    expected: [
      [w1a, [rows, rank]],
      [w2a, [rows, w2b.shape[0] ?? 0]],
      [w2b, [w2b.shape[0] ?? 0, width]],
    ],
  };
}

function kronecker(part: LoraPart, file: LoraFile, kernel: readonly number[]): Difference | undefined {
  const { lokr_w1: w1, lokr_w1_a: w1a, lokr_w1_b: w1b } = part.tensors;
  const { lokr_w2: w2, lokr_w2_a: w2a, lokr_w2_b: w2b, lokr_t2: t2 } = part.tensors;
  if (!w1 && !w1a && !w1b && !w2 && !w2a && !w2b && !t2) return undefined;
  const left = w1 ? w1.shape : w1a && w1b ? [w1a.shape[0] ?? 0, w1b.shape[1] ?? 0] : undefined;
  const right = w2 ? w2.shape : w2a && w2b ? rightShape(w2a, w2b, t2, elementCount(kernel)) : undefined;
  if (!left || !right) throw incomplete(part, file);
  const [rows = 0, columns = 0] = left;
  const [inner = 0, across = 0, ...core] = right;
  const ranked = (w2 ? undefined : w2b) ?? (w1 ? undefined : w1b);
  const factors: Kronecker['kronecker'] = {
    ...(w1 ? { w1 } : { w1a: w1a!, w1b: w1b! }),
    ...(w2 ? { w2 } : { w2a: w2a!, w2b: w2b!, ...(t2 ? { t2 } : {}) }),
  };
  const pairs = [
    ...(w1 ? [[w1, [rows, columns]] as const] : [[w1a!, [rows, w1b!.shape[0] ?? 0]] as const]),
    ...(w2 || !t2
      ? []
      : [[w2a!, [t2.shape[0] ?? 0, inner]] as const, [w2b!, [t2.shape[1] ?? 0, across]] as const]),
    ...(w2 || t2 ? [] : [[w2a!, [inner, w2b!.shape[0] ?? 0]] as const]),
  ];
  return {
    add: { kronecker: factors },
    // Two whole matrices have no rank, and trainers then ignore alpha.
    rank: ranked?.shape[0] ?? null,
    size: [rows * inner, columns * across, elementCount(core)],
    named: (w2 ?? w2a)!,
    expected: pairs,
  };
}

/** Shape of the right side that two factors make: `[rows, r] · [r, columns ...]`, or with a core `[r, r, kh, kw]`. */
function rightShape(a: TensorInfo, b: TensorInfo, core: TensorInfo | undefined, spread: number): number[] {
  if (core) return [a.shape[1] ?? 0, b.shape[1] ?? 0, ...core.shape.slice(2)];
  return [a.shape[0] ?? 0, elementCount(b.shape.slice(1)) / spread, spread];
}

/** LyCORIS' IA3: a vector over outputs or inputs, surrounded by ones for a convolution. */
function multiplication(weight: TensorInfo, onInput: boolean): StoredChange {
  const length = elementCount(weight.shape);
  return {
    change: { multiply: weight, axis: onInput ? 'input' : 'output' },
    ...{ scale: 1, named: weight, expected: [] },
    size: onInput ? [null, length, null] : [length, null, null],
  };
}

function rotationOf(blocks: TensorInfo, part: LoraPart, rows: number, file: LoraFile): StoredChange {
  const { tensors, alpha = 0 } = part;
  checkAlpha(part, alpha, file);
  const staged = blocks.shape.length === 4;
  const [count = 0, side = 0, other = 0] = blocks.shape.slice(staged ? 1 : 0);
  const kind = tensors.oft_diag === blocks ? 'rotation' : staged ? 'boft' : 'oft';
  const { rescale } = tensors;
  return {
    change: {
      ...{ rotate: blocks, kind },
      // alpha bounds the norm of the generators per output row; 0 means that there is no bound.
      ...(alpha > 0 && kind !== 'rotation' ? { constraint: alpha * rows } : {}),
      ...(rescale ? { rescale } : {}),
    },
    ...{ scale: 1, named: blocks },
    size: [side === other ? count * side : 0, null, null],
    expected: rescale ? [[rescale, [rows]]] : [],
  };
}

/** `[rows, 1, ...]` or `[rows]` has a norm per output row (PEFT, LyCORIS' default), `[1, columns, 1, 1]` one per input column. */
function axisOf({ shape }: TensorInfo, columns: number): 'output' | 'input' {
  const across =
    shape.length > 1 && shape[0] === 1 && shape[1] === columns && elementCount(shape) === columns;
  return across ? 'input' : 'output';
}

function checkAlpha({ alpha, layer }: LoraPart, value: number, file: LoraFile): void {
  if (!Number.isFinite(value)) throw invalid(file, `has the alpha ${alpha} for ${JSON.stringify(layer)}`);
}

function incomplete({ keys }: LoraPart, file: LoraFile): SafelightError {
  return invalid(file, `has ${JSON.stringify(keys[0])} without the other tensors of its layer`);
}

function invalid({ path }: LoraFile, problem: string): SafelightError {
  return new SafelightError('INVALID_FILE', `${path} ${problem}; it is damaged: download it again`);
}
