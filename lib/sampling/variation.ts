/** How a picture's first noise may differ from what its seed alone gives: A1111's variations, and noise of another size. */
import type { Latent } from './types.js';

/** Channels, height and width of one picture's latent. */
export type LatentShape = readonly [channels: number, height: number, width: number];

/** Mean cosine above which two noises count as one direction, where the formula has no answer. */
const PARALLEL = 0.9995;

/**
 * Spherical interpolation from `low` to `high`, `[C, h, w]` each: column by column, as A1111 does it (the norm of its tensors is
 * taken along their height). Where the two point the same way it mixes them straight, and there A1111's weights are swapped.
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
    // Columns along one line have no arc between them: the limit of the formula for small angles.
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

/** Lays noise of another size over `noise`, centres together, in place: what of it reaches beyond is left out. */
export function layCentered(noise: Latent, shape: LatentShape, other: Latent, otherShape: LatentShape): void {
  const [channels, height, width] = shape;
  const [, rows, columns] = otherShape;
  const [y, x] = [middle(height, rows), middle(width, columns)];
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < y.count; i++) {
      const from = (c * rows + y.from + i) * columns + x.from;
      noise.set(other.subarray(from, from + x.count), (c * height + y.to + i) * width + x.to);
    }
  }
}

/** A1111's arithmetic along one side; an odd difference is rounded down as Python does. */
function middle(side: number, other: number): { from: number; to: number; count: number } {
  const offset = Math.floor((side - other) / 2);
  if (offset >= 0) return { from: 0, to: offset, count: other };
  return { from: -offset, to: 0, count: Math.min(other + 2 * offset, side) };
}
