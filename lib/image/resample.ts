/**
 * Resizes images byte-exactly like Pillow, so that resized images and masks equal those of A1111 and diffusers (sharp
 * has the same kernels, but libvips first shrinks with boxes).
 *
 * A separable filter whose support grows with the scale factor (antialiasing), coefficients in 22-bit fixed point, each
 * pass rounded to bytes: Pillow's `ImagingResample` (src/libImaging/Resample.c of 13.0).
 */
import { invalidOption } from '../errors.js';
import { inSlices } from './slices.js';

/** Interleaved bytes, `channels` per pixel. */
export interface ByteImage {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

type Size = Pick<ByteImage, 'width' | 'height'>;

export type ResampleFilter = 'lanczos' | 'bicubic';

const FILTERS: Record<ResampleFilter, { support: number; weight: (x: number) => number }> = {
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
  // Keys' kernel with a = -1/2.
  bicubic: {
    support: 2,
    weight: (x) => {
      const t = Math.abs(x);
      if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
      return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
    },
  },
};

const PRECISION = 2 ** 22;

/** One output position: weights of the inputs from index `start` on. */
interface Tap {
  readonly start: number;
  readonly weights: Float64Array;
}

/**
 * Returns the image at another size. Large images are processed in slices between which the event loop runs.
 * @throws ABORTED
 */
export async function resample(
  image: ByteImage,
  width: number,
  height: number,
  filter: ResampleFilter = 'lanczos',
  signal?: AbortSignal,
): Promise<ByteImage> {
  for (const [name, size] of Object.entries({ width, height })) {
    if (!Number.isSafeInteger(size) || size < 1) throw invalidOption(name, 'an integer of at least 1', size);
  }
  const size = { width, height };
  if (width === image.width && height === image.height) return { ...image, data: new Uint8Array(image.data) };
  if (!isVerticalFirst(image, size))
    return alongY(await alongX(image, width, filter, signal), height, filter, signal);
  return alongX(await alongY(image, height, filter, signal), width, filter, signal);
}

/**
 * Pillow 13's rule: the vertical pass is first if the height shrinks by more than twice the factor of the width. Older
 * versions start with the width, with other roundings.
 */
function isVerticalFirst(from: Size, to: Size): boolean {
  return from.height > to.height && from.height - to.height > 2 * (from.width - to.width);
}

async function alongX(
  image: ByteImage,
  width: number,
  filter: ResampleFilter,
  signal: AbortSignal | undefined,
): Promise<ByteImage> {
  if (width === image.width) return image;
  const { data, height, channels } = image;
  const out = new Uint8Array(width * height * channels);
  const taps = tapsOf(image.width, width, filter);
  await inSlices(height, width * channels * taps[0]!.weights.length, signal, (y) => {
    const row = data.subarray(y * image.width * channels, (y + 1) * image.width * channels);
    weighRow(row, channels, taps, out, y * width * channels);
  });
  return { data: out, width, height, channels };
}

async function alongY(
  image: ByteImage,
  height: number,
  filter: ResampleFilter,
  signal: AbortSignal | undefined,
): Promise<ByteImage> {
  if (height === image.height) return image;
  const { data, width, channels } = image;
  const stride = width * channels;
  const out = new Uint8Array(height * stride);
  const taps = tapsOf(image.height, height, filter);
  const sums = new Float64Array(stride);
  await inSlices(height, stride * taps[0]!.weights.length, signal, (y) => {
    const { start, weights } = taps[y]!;
    sums.fill(PRECISION / 2);
    for (let k = 0; k < weights.length; k++) {
      const from = (start + k) * stride;
      const weight = weights[k]!;
      for (let i = 0; i < stride; i++) sums[i]! += weight * data[from + i]!;
    }
    for (let i = 0; i < stride; i++) out[y * stride + i] = toByte(sums[i]!);
  });
  return { data: out, width, height, channels };
}

function weighRow(
  row: Uint8Array,
  channels: number,
  taps: readonly Tap[],
  out: Uint8Array,
  at: number,
): void {
  let written = at;
  for (const { start, weights } of taps) {
    for (let c = 0; c < channels; c++) {
      let sum = PRECISION / 2;
      for (let k = 0, i = start * channels + c; k < weights.length; k++, i += channels)
        sum += weights[k]! * row[i]!;
      out[written++] = toByte(sum);
    }
  }
}

/** Converts fixed point to a byte; the sum includes the half for rounding. */
function toByte(sum: number): number {
  const value = Math.floor(sum / PRECISION);
  return value < 0 ? 0 : Math.min(255, value);
}

/**
 * Extends an edge of an image to `size` pixels, as Pillow resizes a strip of zero extent (bicubic): the outermost line,
 * slightly sharpened by the line next to it.
 */
export function edgeStrip(
  image: ByteImage,
  edge: 'top' | 'bottom' | 'left' | 'right',
  size: number,
): ByteImage {
  const { data, width, height, channels } = image;
  const isRow = edge === 'top' || edge === 'bottom';
  const length = isRow ? height : width;
  const tap = tapAt(edge === 'top' || edge === 'left' ? 0 : length, length, 1, FILTERS.bicubic);
  const line = (isRow ? width : height) * channels;
  const bytes = Uint8Array.from({ length: line }, (_, i) => {
    let sum = PRECISION / 2;
    tap.weights.forEach((weight, k) => {
      const index = tap.start + k;
      const pixel = isRow
        ? index * width + Math.floor(i / channels)
        : Math.floor(i / channels) * width + index;
      sum += weight * data[pixel * channels + (i % channels)]!;
    });
    return toByte(sum);
  });
  const [w, h] = isRow ? [width, size] : [size, height];
  const out = new Uint8Array(w * h * channels);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const from = (isRow ? x : y) * channels;
      out.set(bytes.subarray(from, from + channels), (y * w + x) * channels);
    }
  }
  return { data: out, width: w, height: h, channels };
}

function tapsOf(from: number, to: number, name: ResampleFilter): Tap[] {
  const filter = FILTERS[name];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => tapAt((i + 0.5) * scale, from, stretch, filter));
}

/** Returns the taps of a position for a filter that is `stretch` times as wide. */
function tapAt(center: number, from: number, stretch: number, filter: (typeof FILTERS)[ResampleFilter]): Tap {
  const support = filter.support * stretch;
  const start = Math.max(0, Math.trunc(center - support + 0.5));
  const end = Math.min(from, Math.trunc(center + support + 0.5));
  const weights = Float64Array.from({ length: end - start }, (_, k) =>
    filter.weight((start + k - center + 0.5) / stretch),
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  return { start, weights: weights.map((w) => roundAway((w / sum) * PRECISION)) };
}

/** Rounds half away from zero, as C's cast after adding half with the sign of the number. */
function roundAway(x: number): number {
  return Math.trunc(x < 0 ? x - 0.5 : x + 0.5);
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
