/**
 * Large pictures in overlapping tiles, so that memory is that of one tile. Where tiles overlap, each fades out linearly while the other
 * fades in, in both directions; the weights of all tiles add up to 1 everywhere, so no seam is left to see.
 */
import { throwIfAborted } from '../errors.js';
import { Tensor } from '../tensor/tensor.js';

export interface Tiling {
  /** Sides of the whole, in latent pixels. */
  readonly height: number;
  readonly width: number;
  /** Largest side of a tile, and what neighbours share at least, in latent pixels. */
  readonly tile: number;
  readonly overlap: number;
  /** Pixels of the input and of the output that a latent pixel stands for. */
  readonly scale: { readonly from: number; readonly to: number };
  /** Channels of the output. */
  readonly channels: number;
}

/** Where the tiles of one side begin, and how long each is. */
export interface Spans {
  readonly starts: readonly number[];
  readonly size: number;
}

/** As few tiles as cover the side with the overlap, all of one size, no larger than it takes. */
export function spansOf(length: number, tile: number, overlap: number): Spans {
  if (length <= tile) return { starts: [0], size: length };
  const count = Math.ceil((length - overlap) / (tile - overlap));
  const size = Math.ceil((length + (count - 1) * overlap) / count);
  const starts = Array.from({ length: count }, (_, i) => Math.round((i * (length - size)) / (count - 1)));
  return { starts, size };
}

/** For each tile of a side its weights, pixel by pixel of the output; at every pixel they add up to 1. */
export function fadesOf({ starts, size }: Spans, overlap: number, scale: number): Float64Array[] {
  const ramp = overlap * scale;
  const last = starts.length - 1;
  const sums = new Float64Array(((starts[last] ?? 0) + size) * scale);
  const fades = starts.map((start, i) => {
    const fade = Float64Array.from({ length: size * scale }, (_, k) => {
      const rise = i === 0 ? 1 : (k + 0.5) / ramp;
      const fall = i === last ? 1 : (size * scale - k - 0.5) / ramp;
      return Math.min(1, rise, fall);
    });
    fade.forEach((weight, k) => {
      sums[start * scale + k]! += weight;
    });
    return fade;
  });
  return fades.map((fade, i) => fade.map((weight, k) => weight / sums[(starts[i] ?? 0) * scale + k]!));
}

/**
 * @param input `[B, C, height * from, width * from]`
 * @param run gives `[1, channels, h * to, w * to]` of a tile `[1, C, h * from, w * from]`
 * @returns `[B, channels, height * to, width * to]`
 */
export async function runTiled(
  input: Tensor,
  { height, width, tile, overlap, scale, channels }: Tiling,
  run: (tile: Tensor) => Promise<Tensor>,
  {
    signal,
    onProgress,
  }: {
    signal?: AbortSignal | undefined;
    onProgress?: ((done: number, total: number) => void) | undefined;
  } = {},
): Promise<Tensor> {
  const [pictures = 0] = input.shape;
  const rows = spansOf(height, tile, overlap);
  const columns = spansOf(width, tile, overlap);
  const down = fadesOf(rows, overlap, scale.to);
  const across = fadesOf(columns, overlap, scale.to);
  const output = Tensor.zeros([pictures, channels, height * scale.to, width * scale.to]);
  const total = pictures * rows.starts.length * columns.starts.length;
  let done = 0;
  for (let picture = 0; picture < pictures; picture++) {
    const whole = output.at(picture);
    for (const [i, top] of rows.starts.entries()) {
      for (const [j, left] of columns.starts.entries()) {
        throwIfAborted(signal);
        const part = input.slice(
          [picture, picture + 1],
          null,
          [top * scale.from, (top + rows.size) * scale.from],
          [left * scale.from, (left + columns.size) * scale.from],
        );
        addFaded(whole, await run(part), top * scale.to, left * scale.to, down[i]!, across[j]!);
        onProgress?.(++done, total);
      }
    }
  }
  return output;
}

/** Adds a tile `[1, C, h, w]` to the whole `[C, H, W]` at (top, left). */
function addFaded(
  whole: Tensor,
  tile: Tensor,
  top: number,
  left: number,
  down: Float64Array,
  across: Float64Array,
): void {
  const [channels = 0, height = 0, width = 0] = whole.shape;
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < down.length; y++) {
      const from = (c * down.length + y) * across.length;
      const to = (c * height + top + y) * width + left;
      for (let x = 0; x < across.length; x++) {
        whole.data[to + x]! += tile.data[from + x]! * down[y]! * across[x]!;
      }
    }
  }
}
