/** A1111's modifications of the initial noise: variation seeds, and noise of another image size. */
import type { Latent } from './types.js';

/** Channels, height and width of one latent. */
export type LatentShape = readonly [channels: number, height: number, width: number];

/** Mean cosine above which two noises are treated as parallel, where slerp is undefined. */
const PARALLEL = 0.9995;

/**
 * Spherical interpolation from `low` to `high`, `[C, h, w]` each, column by column, because A1111 computes norms
 * along the height. Parallel noises are interpolated linearly; there, A1111's weights are swapped.
 */
export function slerp(
  share: number,
  low: Latent,
  high: Latent,
  [channels, height, width]: LatentShape,
): Latent {
  const columns = channels * width;
  const cosines = new Float64Array(columns);
  const at = (column: number, y: number): number =>
    (Math.floor(column / width) * height + y) * width + (column % width);
  for (let column = 0; column < columns; column++) {
    let [dot, lows, highs] = [0, 0, 0];
    for (let y = 0; y < height; y++) {
      const [a, b] = [low[at(column, y)]!, high[at(column, y)]!];
      dot += a * b;
      lows += a * a;
      highs += b * b;
    }
    cosines[column] = dot / Math.sqrt(lows * highs);
  }
  if (cosines.reduce((sum, cosine) => sum + cosine, 0) / columns > PARALLEL)
    return low.map((value, i) => value * share + high[i]! * (1 - share));
  const out = new Float32Array(low.length);
  for (let column = 0; column < columns; column++) {
    const angle = Math.acos(Math.max(-1, Math.min(1, cosines[column]!)));
    const sine = Math.sin(angle);
    // Limit of the formula for an angle of 0.
    const [a, b] =
      sine === 0
        ? [1 - share, share]
        : [Math.sin((1 - share) * angle) / sine, Math.sin(share * angle) / sine];
    for (let y = 0; y < height; y++) {
      const i = at(column, y);
      out[i] = a * low[i]! + b * high[i]!;
    }
  }
  return out;
}

/** Copies noise of another size over `noise` in place, aligned at the centres and cropped. */
export function copyCentered(
  noise: Latent,
  shape: LatentShape,
  other: Latent,
  otherShape: LatentShape,
): void {
  const [channels, height, width] = shape;
  const [, rows, columns] = otherShape;
  const [y, x] = [centered(height, rows), centered(width, columns)];
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < y.count; i++) {
      const from = (c * rows + y.from + i) * columns + x.from;
      noise.set(other.subarray(from, from + x.count), (c * height + y.to + i) * width + x.to);
    }
  }
}

/** Returns the range to copy along one side, computed as in A1111: an odd difference is rounded down as in Python. */
function centered(side: number, other: number): { from: number; to: number; count: number } {
  const offset = Math.floor((side - other) / 2);
  if (offset >= 0) return { from: 0, to: offset, count: other };
  return { from: -offset, to: 0, count: Math.min(other + 2 * offset, side) };
}
