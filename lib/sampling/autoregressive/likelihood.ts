/** How probable a model thinks a picture's codes (taming's cross-entropy is the mean, negated). */
import { SafelightError, throwIfAborted } from '../../errors.js';
import { checkSignal, knownKeys } from '../../known-keys.js';
import { batchOf, checkCodeIndices, checkCondition, checkModel, joinRows } from './batch.js';
import { checkOrder, type Order } from './order.js';
import type { CodeIndices, CodeModel } from './types.js';
import { checkSides, cropGrid, windowAt } from './window.js';

export interface LikelihoodOptions {
  /** Of the picture, in codes. */
  readonly height: number;
  readonly width: number;
  /** What stands before the codes: `grid`, as many codes as the picture's; `tokens`, few, such as a class. */
  readonly condition: { readonly kind: 'grid' | 'tokens'; readonly codes: CodeIndices };
  /** Side of the windows (see `windowSide`) through which a picture is seen that has more codes than the model can look at. */
  readonly side?: number | undefined;
  /** The order in which the model writes codes; row by row by default. */
  readonly order?: Order | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Likelihood {
  /** The natural logarithm of the probability of all codes, in nats: the sum of `codes`. */
  readonly total: number;
  /** For each code, counted row by row, ln p(code | condition and the codes before it that the model saw). */
  readonly codes: Float32Array;
}

const KEYS = new Set(['height', 'width', 'condition', 'side', 'order', 'signal']);

/**
 * @param codes of one picture, row by row
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
  const picture = Int32Array.from(codes);
  const before = Int32Array.from(condition.codes);
  const nats = new Float32Array(picture.length);
  for (const { window, places } of windows(options)) {
    throwIfAborted(signal);
    const seen = cropGrid(picture, width, window);
    const written = order ? seen.map((_, n) => seen[order[n]!]!) : seen;
    const given =
      condition.kind === 'grid' && before.length === picture.length
        ? cropGrid(before, width, window)
        : before;
    const sequence = joinRows(given, written).subarray(0, -1);
    const { logits } = await model.forward({ codes: batchOf([sequence]) }, { signal });
    const rows = logits.at(0).data;
    for (const { place, index } of places) {
      const at = (given.length - 1 + index) * model.vocabulary;
      const code = order ? order[place]! : place;
      nats[code] = logProbability(rows.subarray(at, at + model.vocabulary), picture[code]!);
    }
  }
  if (!nats.every(Number.isFinite)) {
    throw new SafelightError('NOT_FINITE', 'The likelihood is not finite: the weights are damaged');
  }
  return { total: nats.reduce((a, b) => a + b, 0), codes: nats };
}

/** Each window of the picture once, with the places that are seen through it. */
function windows({ height, width, side = Math.max(height, width) }: LikelihoodOptions) {
  const found = new Map<
    string,
    { window: ReturnType<typeof windowAt>; places: { place: number; index: number }[] }
  >();
  for (let place = 0; place < height * width; place++) {
    const window = windowAt(place, height, width, side);
    const key = `${window.top} ${window.left}`;
    const entry = found.get(key) ?? { window, places: [] };
    entry.places.push({ place, index: window.index });
    found.set(key, entry);
  }
  return found.values();
}

/** ln of the softmax at `code`. */
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
  const whole = side >= Math.max(height, width);
  const grid = condition.kind === 'grid';
  const expected: [string, number, number][] = [
    ['codes', codes.length, total],
    ...(grid && !whole ? [['condition', condition.codes.length, total] as [string, number, number]] : []),
    ...(order ? [['the order', order.length, whole ? total : -1] as [string, number, number]] : []),
  ];
  for (const [name, length, wanted] of expected) {
    if (length !== wanted) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        wanted < 0
          ? 'A model that writes codes in an order of its own has no windows; take the size it was trained at'
          : `Expected ${wanted} codes (${height} rows of ${width}) in ${name} but received ${length}`,
      );
    }
  }
  const seen = Math.min(side, height) * Math.min(side, width);
  const before = grid && condition.codes.length === total ? seen : condition.codes.length;
  if (before === 0 || before + seen - 1 > model.block) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `The model looks at 1 to ${model.block} places, but condition and codes have ${before + seen - 1}; take a window of a smaller side`,
    );
  }
}
