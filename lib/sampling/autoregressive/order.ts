/**
 * Orders of an image's codes in the sequence of the transformer (`taming.modules.transformer.permuter`).
 */

import type { OrderName } from '../../checkpoint/config/types.js';
import { invalidOption, SafelightError } from '../../errors.js';
import { TorchCpuGenerator } from '../generators/mt19937.js';
import { checkSides } from './window.js';

/** Larger than the block size of any model. */
const MAX_CODES = 2 ** 22;

/** `order[n]` is the position in the image, counted row by row, of the n-th code of the sequence. */
export type Order = Int32Array;

const ORDERS: readonly OrderName[] = [
  'identity',
  'zcurve',
  'subsample',
  'alternate',
  'spiral_out',
  'spiral_in',
  'random',
];

/**
 * Computes an order for an image of `height` rows of `width` codes.
 * @returns null for row by row (`identity`)
 * @throws INVALID_OPTION for an unknown name and for a size that the order does not support
 */
export function codeOrder(name: OrderName, height: number, width: number): Order | null {
  checkSides({ height, width });
  if (height * width > MAX_CODES)
    throw invalidOption('height x width', `at most ${MAX_CODES} codes`, height * width);
  switch (name) {
    case 'identity':
      return null;
    case 'zcurve':
      return zCurve(height, width);
    case 'subsample':
      return subsample(height, width);
    case 'alternate':
      return alternate(height, width);
    case 'spiral_out':
      return spiral(height, width);
    case 'spiral_in':
      return spiral(height, width).reverse();
    case 'random':
      return shuffled(height * width);
    default:
      throw invalidOption('order', `one of ${ORDERS.join(', ')}`, name);
  }
}

/** @throws INVALID_OPTION for a value that is not a permutation */
export function checkOrder(order: unknown): void {
  if (!(order instanceof Int32Array))
    throw invalidOption('order', 'an Int32Array returned by codeOrder', order);
  const places = new Set(order);
  const wrong = order.find((place) => place < 0 || place >= order.length);
  if (wrong !== undefined || places.size < order.length)
    throw invalidOption('order', `each position from 0 to ${order.length - 1} exactly once`, wrong ?? order);
}

/** Orders codes by the interleaved bits of row and column (Morton 1966), starting with the lowest bit of the column. */
function zCurve(height: number, width: number): Order {
  const order = new Int32Array(height * width).fill(-1);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      let n = 0;
      for (let bit = 0; bit < 16; bit++) {
        n += ((column >> bit) & 1) * 4 ** bit + ((row >> bit) & 1) * 2 * 4 ** bit;
      }
      if (n < order.length) order[n] = row * width + column;
    }
  }
  if (order.includes(-1)) throw unknownSize('zcurve', height, width);
  return order;
}

/** Orders codes by recursive subsampling: every second row and column first, then the remaining three phases. */
function subsample(height: number, width: number): Order {
  const levels = Math.log2(height);
  if (height !== width || !Number.isInteger(levels)) throw unknownSize('subsample', height, width);
  return Int32Array.from({ length: height * width }, (_, n) => {
    let row = 0;
    let column = 0;
    for (let level = 0; level < levels; level++) {
      const digit = Math.floor(n / 4 ** (levels - 1 - level)) % 4;
      row += (digit >> 1) * 2 ** level;
      column += (digit & 1) * 2 ** level;
    }
    return row * width + column;
  });
}

/** Orders codes row by row, every second row reversed. */
function alternate(height: number, width: number): Order {
  return Int32Array.from({ length: height * width }, (_, n) => {
    const row = Math.floor(n / width);
    return row * width + (row % 2 === 0 ? n % width : width - 1 - (n % width));
  });
}

/** Orders codes in a spiral from the centre: up, right, down, left, one step longer every second turn. */
function spiral(height: number, width: number): Order {
  if (height === 1 && width === 1) return Int32Array.of(0);
  if (height !== width || width % 2 !== 0) throw unknownSize('spiral', height, width);
  const order = new Int32Array(height * width);
  const turns = [
    [-1, 0],
    [0, 1],
    [1, 0],
    [0, -1],
  ] as const;
  let row = height / 2;
  let column = width / 2 - 1;
  let n = 0;
  order[n++] = row * width + column;
  for (let turn = 0; n < order.length; turn++) {
    const [down, right] = turns[turn % 4]!;
    for (let steps = Math.floor(turn / 2) + 1; steps > 0 && n < order.length; steps--) {
      row += down;
      column += right;
      order[n++] = row * width + column;
    }
  }
  return order;
}

/** NumPy's `RandomState(1).permutation(size)`: a Fisher-Yates shuffle from the end with masked rejection sampling. */
function shuffled(size: number): Order {
  const twister = new TorchCpuGenerator(1);
  const order = Int32Array.from({ length: size }, (_, n) => n);
  for (let last = size - 1; last > 0; last--) {
    const mask = 2 ** (32 - Math.clz32(last)) - 1;
    let pick = twister.random() & mask;
    while (pick > last) pick = twister.random() & mask;
    [order[last], order[pick]] = [order[pick]!, order[last]!];
  }
  return order;
}

function unknownSize(name: string, height: number, width: number): SafelightError {
  return new SafelightError(
    'INVALID_OPTION',
    `The model's code order ${name} does not support ${height} rows of ${width} codes; use the model's training size`,
  );
}
