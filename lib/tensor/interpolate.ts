/** Resizes planes of numbers, as `torch.nn.functional.interpolate` (align_corners false). */
import { invalidOption } from '../errors.js';
import { Tensor } from './tensor.js';

const interpolations = [
  'nearest',
  'nearest-exact',
  'bilinear',
  'bicubic',
  'bicubic-antialiased',
  'area',
] as const;
export type Interpolation = (typeof interpolations)[number];

/** Inputs and weights of one output position. */
interface Tap {
  readonly indices: readonly number[];
  readonly weights: readonly number[];
}

/**
 * Resizes each `[h, w]` plane of a tensor `[..., h, w]`. Positions beyond the edge have the edge's value. Only
 * `bicubic-antialiased` and `area`, the mean of the covered area, widen their kernel when shrinking.
 * @throws INVALID_OPTION
 */
export function interpolate(tensor: Tensor, height: number, width: number, mode: Interpolation): Tensor {
  const [h, w] = tensor.shape.slice(-2);
  if (h === undefined || w === undefined || tensor.size === 0) {
    throw invalidOption('tensor', 'a tensor of at least two dimensions and one element', tensor.shape);
  }
  const rows = tapsOf(h, height, mode);
  const columns = tapsOf(w, width, mode);
  const planes = tensor.size / (h * w);
  const out = new Float32Array(planes * height * width);
  const wide = new Float64Array(h * width);
  for (let p = 0; p < planes; p++) {
    const plane = tensor.data.subarray(p * h * w, (p + 1) * h * w);
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < width; x++) wide[y * width + x] = weigh(columns[x]!, (i) => plane[y * w + i]!);
    }
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        out[(p * height + y) * width + x] = weigh(rows[y]!, (i) => wide[i * width + x]!);
      }
    }
  }
  return new Tensor(out, [...tensor.shape.slice(0, -2), height, width]);
}

function weigh(tap: Tap, value: (index: number) => number): number {
  let sum = 0;
  for (let k = 0; k < tap.indices.length; k++) sum += tap.weights[k]! * value(tap.indices[k]!);
  return sum;
}

function tapsOf(from: number, to: number, mode: Interpolation): Tap[] {
  const scale = from / to;
  const last = from - 1;
  return Array.from({ length: to }, (_, i): Tap => {
    switch (mode) {
      case 'nearest':
        return { indices: [Math.min(last, Math.floor(i * scale))], weights: [1] };
      case 'nearest-exact':
        return { indices: [Math.min(last, Math.floor((i + 0.5) * scale))], weights: [1] };
      case 'bilinear': {
        const at = Math.max(0, (i + 0.5) * scale - 0.5);
        const low = Math.min(last, Math.floor(at));
        return { indices: [low, Math.min(last, low + 1)], weights: [1 - (at - low), at - low] };
      }
      case 'bicubic': {
        const at = (i + 0.5) * scale - 0.5;
        const low = Math.floor(at);
        const indices = [-1, 0, 1, 2].map((k) => Math.min(last, Math.max(0, low + k)));
        return { indices, weights: [-1, 0, 1, 2].map((k) => keys(at - low - k, -0.75)) };
      }
      case 'bicubic-antialiased':
        return antialiased(i, scale, from);
      case 'area':
        return covered(i, scale, last);
      default:
        throw invalidOption('interpolation', `one of ${interpolations.join(', ')}`, mode);
    }
  });
}

/** Elements between i and i + 1 steps, by the share of the step that each covers. */
function covered(i: number, scale: number, last: number): Tap {
  const [start, end] = [i * scale, (i + 1) * scale];
  const first = Math.floor(start);
  const indices = Array.from({ length: Math.ceil(end) - first }, (_, k) => first + k);
  const weights = indices.map((k) => (Math.min(end, k + 1) - Math.max(start, k)) / scale);
  return { indices: indices.map((k) => Math.min(last, k)), weights };
}

/** Pillow's method, as in torch: a kernel as wide as the step, cut at the edges and normalized. */
function antialiased(i: number, scale: number, from: number): Tap {
  const stretch = Math.max(1, scale);
  const center = (i + 0.5) * scale;
  const start = Math.max(0, Math.trunc(center - 2 * stretch + 0.5));
  const end = Math.min(from, Math.trunc(center + 2 * stretch + 0.5));
  const indices = Array.from({ length: end - start }, (_, k) => start + k);
  const weights = indices.map((k) => keys((k - center + 0.5) / stretch, -0.5));
  const sum = weights.reduce((a, b) => a + b, 0);
  return { indices, weights: weights.map((weight) => weight / sum) };
}

/** Keys' cubic convolution kernel with parameter a. */
function keys(x: number, a: number): number {
  const t = Math.abs(x);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}
