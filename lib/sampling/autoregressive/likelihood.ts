/** Log likelihood of an image's code indices under a model. Taming's cross-entropy is the negated mean. */
import { SafelightError, throwIfAborted } from '../../errors.js';
import { checkSignal, knownKeys } from '../../known-keys.js';
import { batchOf, checkCodeIndices, checkCondition, checkModel, joinRows } from './batch.js';
import { checkOrder, type Order } from './order.js';
import type { CodeIndices, CodeModel } from './types.js';
import { checkSides, cropGrid, windowAt } from './window.js';

export interface LikelihoodOptions {
  /** Size of the image in codes. */
  readonly height: number;
  readonly width: number;
  /**
   * Codes that precede those of the image: `grid` has one per code of the image, `tokens` a fixed number, such as a
   * class.
   */
  readonly condition: { readonly kind: 'grid' | 'tokens'; readonly codes: CodeIndices };
  /**
   * Side of the sliding windows (see `windowSide`), for images with more codes than the model's block size. Default:
   * one window.
   */
  readonly side?: number | undefined;
  /** Order of the codes in the sequence; default row by row. */
  readonly order?: Order | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Likelihood {
  /** Natural logarithm of the probability of all codes, in nats: the sum of `codes`. */
  readonly total: number;
  /** ln p(code | condition, preceding codes in the window) of each code, row by row. */
  readonly codes: Float32Array;
}

const KEYS = new Set(['height', 'width', 'condition', 'side', 'order', 'signal']);

/**
 * Computes the log likelihood of an image's code indices.
 * @param codes of one image, row by row
 * @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE, ABORTED, DISPOSED, OUT_OF_MEMORY
 */
export async function codeLikelihood(
  model: CodeModel,
  codes: CodeIndices,
  options: LikelihoodOptions,
): Promise<Likelihood> {
  knownKeys('options', options, KEYS);
  checkModel(model);
  const { width, condition, order, signal } = options;
  checkSignal('signal', signal);
  check(model, codes, options);
  const image = Int32Array.from(codes);
  const prefix = Int32Array.from(condition.codes);
  const nats = new Float32Array(image.length);
  for (const { window, positions } of windows(options)) {
    throwIfAborted(signal);
    const crop = cropGrid(image, width, window);
    const ordered = order ? crop.map((_, n) => crop[order[n]!]!) : crop;
    const windowPrefix =
      condition.kind === 'grid' && prefix.length === image.length ? cropGrid(prefix, width, window) : prefix;
    const sequence = joinRows(windowPrefix, ordered).subarray(0, -1);
    const { logits } = await model.forward({ codes: batchOf([sequence]) }, { signal });
    const rows = logits.at(0).data;
    for (const { position, index } of positions) {
      const offset = (windowPrefix.length - 1 + index) * model.vocabulary;
      const code = order ? order[position]! : position;
      nats[code] = logProbability(rows.subarray(offset, offset + model.vocabulary), image[code]!);
    }
  }
  if (!nats.every(Number.isFinite)) {
    throw new SafelightError('NOT_FINITE', 'The log likelihood is not finite; the weights are damaged');
  }
  return { total: nats.reduce((a, b) => a + b, 0), codes: nats };
}

/** Groups the positions of the image by their sliding window. */
function windows({ height, width, side = Math.max(height, width) }: LikelihoodOptions) {
  const byOrigin = new Map<
    string,
    { window: ReturnType<typeof windowAt>; positions: { position: number; index: number }[] }
  >();
  for (let position = 0; position < height * width; position++) {
    const window = windowAt(position, height, width, side);
    const key = `${window.top} ${window.left}`;
    const entry = byOrigin.get(key) ?? { window, positions: [] };
    entry.positions.push({ position, index: window.index });
    byOrigin.set(key, entry);
  }
  return byOrigin.values();
}

/** Returns the logarithm of the softmax at `code`. */
function logProbability(logits: Float32Array, code: number): number {
  let top = -Infinity;
  for (const x of logits) if (!(x <= top)) top = x;
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - top);
  return logits[code]! - top - Math.log(sum);
}

function check(model: CodeModel, codes: CodeIndices, options: LikelihoodOptions): void {
  const { height, width, condition, order, side = Math.max(height, width) } = options;
  checkSides({ height, width, side });
  checkCondition(condition);
  if (order !== undefined) checkOrder(order);
  checkCodeIndices('codes', [codes], model.vocabulary);
  checkCodeIndices('condition', [condition.codes], model.vocabulary);
  const total = height * width;
  const singleWindow = side >= Math.max(height, width);
  const grid = condition.kind === 'grid';
  const expected: [string, number, number][] = [
    ['codes', codes.length, total],
    ...(grid && !singleWindow
      ? [['condition', condition.codes.length, total] as [string, number, number]]
      : []),
    ...(order ? [['the order', order.length, singleWindow ? total : -1] as [string, number, number]] : []),
  ];
  for (const [name, length, wanted] of expected) {
    if (length !== wanted) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        wanted < 0
          ? 'Sliding windows need codes in row order, but the model uses another order; use its training size'
          : `Expected ${wanted} codes (${height} rows of ${width}) in ${name}, received ${length}`,
      );
    }
  }
  const inWindow = Math.min(side, height) * Math.min(side, width);
  const prefix = grid && condition.codes.length === total ? inWindow : condition.codes.length;
  if (prefix === 0 || prefix + inWindow - 1 > model.block) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected 1 to ${model.block} positions (the model's block size), received ${prefix + inWindow - 1} of condition and codes; use a smaller window side`,
    );
  }
}
