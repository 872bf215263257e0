/**
 * Tiled processing of large images, which bounds memory by that of one tile. Overlapping tiles are blended linearly
 * in both directions; the blend weights sum to 1 at every pixel, so no seams are visible.
 */
import { throwIfAborted } from '../errors.js';
import { Tensor } from '../tensor/tensor.js';

export interface Tiling {
  /** Size of the full image, in latent pixels. */
  readonly height: number;
  readonly width: number;
  /** Largest side of a tile and smallest overlap of neighbouring tiles, in latent pixels. */
  readonly tile: number;
  readonly overlap: number;
  /** Input and output pixels per latent pixel along each side. */
  readonly scale: { readonly from: number; readonly to: number };
  /** Channels of the output. */
  readonly channels: number;
}

/** Start offsets of the tiles along one side, and their common size. */
export interface Spans {
  readonly starts: readonly number[];
  readonly size: number;
}

/** Covers a side with the smallest number of tiles of equal size that overlap by at least `overlap`. */
export function spansOf(length: number, tile: number, overlap: number): Spans {
  if (length <= tile) return { starts: [0], size: length };
  const count = Math.ceil((length - overlap) / (tile - overlap));
  const size = Math.ceil((length + (count - 1) * overlap) / count);
  const starts = Array.from({ length: count }, (_, i) => Math.round((i * (length - size)) / (count - 1)));
  return { starts, size };
}

/**
 * Returns the blend weights of each tile per output pixel along one side; they sum to 1 at every pixel.
 * @param margin distance from a tile's inner edges within which its weight is 0, less than half of `overlap`
 */
export function blendWeights(
  { starts, size }: Spans,
  overlap: number,
  scale: number,
  margin = 0,
): Float64Array[] {
  const ramp = (overlap - 2 * margin) * scale;
  const last = starts.length - 1;
  const sums = new Float64Array(((starts[last] ?? 0) + size) * scale);
  const weights = starts.map((start, i) => {
    const tileWeights = Float64Array.from({ length: size * scale }, (_, k) => {
      const rise = i === 0 ? 1 : (k + 0.5 - margin * scale) / ramp;
      const fall = i === last ? 1 : (size * scale - k - 0.5 - margin * scale) / ramp;
      return Math.max(0, Math.min(1, rise, fall));
    });
    tileWeights.forEach((weight, k) => {
      sums[start * scale + k]! += weight;
    });
    return tileWeights;
  });
  return weights.map((tileWeights, i) =>
    tileWeights.map((weight, k) => weight / sums[(starts[i] ?? 0) * scale + k]!),
  );
}

/**
 * Processes an input tile by tile and blends the results.
 * @param input `[B, C, height * from, width * from]`
 * @param run returns `[1, channels, h * to, w * to]` for a tile `[1, C, h * from, w * from]`
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
  const [batch = 0] = input.shape;
  const rows = spansOf(height, tile, overlap);
  const columns = spansOf(width, tile, overlap);
  const rowWeights = blendWeights(rows, overlap, scale.to);
  const columnWeights = blendWeights(columns, overlap, scale.to);
  const output = Tensor.zeros([batch, channels, height * scale.to, width * scale.to]);
  const total = batch * rows.starts.length * columns.starts.length;
  let done = 0;
  for (let index = 0; index < batch; index++) {
    const image = output.at(index);
    for (const [i, top] of rows.starts.entries()) {
      for (const [j, left] of columns.starts.entries()) {
        throwIfAborted(signal);
        const part = input.slice(
          [index, index + 1],
          null,
          [top * scale.from, (top + rows.size) * scale.from],
          [left * scale.from, (left + columns.size) * scale.from],
        );
        addBlended(
          image,
          await run(part),
          top * scale.to,
          left * scale.to,
          rowWeights[i]!,
          columnWeights[j]!,
        );
        onProgress?.(++done, total);
      }
    }
  }
  return output;
}

/** Adds a weighted tile `[1, C, h, w]` to the image `[C, H, W]` at (top, left). */
function addBlended(
  image: Tensor,
  tile: Tensor,
  top: number,
  left: number,
  rowWeights: Float64Array,
  columnWeights: Float64Array,
): void {
  const [channels = 0, height = 0, width = 0] = image.shape;
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < rowWeights.length; y++) {
      const from = (c * rowWeights.length + y) * columnWeights.length;
      const to = (c * height + top + y) * width + left;
      for (let x = 0; x < columnWeights.length; x++) {
        image.data[to + x]! += tile.data[from + x]! * rowWeights[y]! * columnWeights[x]!;
      }
    }
  }
}
