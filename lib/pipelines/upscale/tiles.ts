/**
 * Upscaling in overlapping tiles, which bounds the memory of the network by that of one tile. A row of tiles is blended
 * in floating point and then rounded once, so that memory beyond the result does not grow with the height of the image.
 */
import { throwIfAborted } from '../../errors.js';
import type { ByteImage } from '../../image/resample.js';
import { blendWeights, type Spans, spansOf } from '../../modules/tiling.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import { reflectedIndex } from '../../tensor/reflect.js';
import { Tensor } from '../../tensor/tensor.js';
import type { Pass } from './passes.js';

/** Tiles along one side. */
export interface TileSide extends Spans {
  /** Weights of each tile per pixel of the result, including pixels beyond its end. */
  readonly weights: readonly Float64Array[];
  /** Index in the image of each pixel of the padded side. */
  readonly index: Int32Array;
}

export interface TileLayout {
  readonly rows: TileSide;
  readonly columns: TileSide;
  readonly count: number;
}

export interface TileSettings {
  /** Largest side of a tile in pixels of the image; Infinity for a single tile. */
  readonly tile: number;
  /** Smallest overlap of neighbouring tiles in pixels. */
  readonly overlap: number;
  /** Sides of an image in one piece are padded to multiples of this. */
  readonly multiple: number;
  /** Sides and positions of tiles are multiples of this. */
  readonly tileMultiple: number;
  readonly scale: number;
  readonly receptiveField: number | null;
}

export function layoutOf({ width, height }: ByteImage, settings: TileSettings): TileLayout {
  const isWhole = Math.max(width, height) <= settings.tile;
  const unit = isWhole ? settings.multiple : settings.tileMultiple;
  const rows = sideOf(height, unit, settings);
  const columns = sideOf(width, unit, settings);
  return { rows, columns, count: rows.starts.length * columns.starts.length };
}

/**
 * Lays out the tiles of a side, padded to a multiple by reflection. Within the margin at a tile's inner edges, pixels
 * depend on what is beyond the edge; with an overlap of the receptive field, no other pixel does.
 */
function sideOf(
  length: number,
  multiple: number,
  { tile, overlap, scale, receptiveField }: TileSettings,
): TileSide {
  const padded = Math.ceil(length / multiple);
  // A tile has at least the size of a window, even if that exceeds the limit.
  const side = Math.max(1, Math.floor(tile / multiple));
  const shared = Math.min(Math.ceil(overlap / multiple), side - 1);
  const units = spansOf(padded, side, shared);
  const spans = { starts: units.starts.map((start) => start * multiple), size: units.size * multiple };
  const covered = shared * multiple;
  const reach = receptiveField === null ? Number.POSITIVE_INFINITY : (receptiveField - 1) / 2;
  const margin = covered > 2 * reach ? reach : covered / 4;
  return {
    ...spans,
    weights: blendWeights(spans, covered, scale, margin),
    index: Int32Array.from({ length: padded * multiple }, (_, i) => reflectedIndex(i, length)),
  };
}

/**
 * Runs a pass over all tiles and writes its channels into the result.
 * @param run maps a tile `[1, C, h, w]` in 0..1 to `[1, C, h * scale, w * scale]`
 * @throws NOT_FINITE, ABORTED
 */
export async function runPass(
  image: ByteImage,
  result: ByteImage,
  pass: Pass,
  { rows, columns }: TileLayout,
  scale: number,
  run: (tile: Tensor) => Promise<Tensor>,
  control: { readonly signal: AbortSignal | undefined; readonly onTile: () => void },
): Promise<void> {
  const height = rows.size * scale;
  const band = new Float32Array(pass.to.length * height * result.width);
  for (const [i, top] of rows.starts.entries()) {
    for (const [j, left] of columns.starts.entries()) {
      throwIfAborted(control.signal);
      const output = await run(cut(image, pass, rows, columns, top, left));
      throwIfNotFinite(output.data, 'The upscaled image');
      addTile(band, result.width, output, pass, left * scale, rows.weights[i]!, columns.weights[j]!);
      control.onTile();
    }
    const next = rows.starts[i + 1];
    const end = next === undefined ? result.height : next * scale;
    writeRows(band, result, pass, top * scale, Math.min(end, result.height), height);
    if (next !== undefined) shiftUp(band, result.width, pass.to.length, height, (next - top) * scale);
  }
}

/** Returns the tile at (top, left) as `[1, C, h, w]`. */
function cut(
  { data, width }: ByteImage,
  { from }: Pass,
  rows: TileSide,
  columns: TileSide,
  top: number,
  left: number,
): Tensor {
  const out = new Float32Array(from.length * rows.size * columns.size);
  let at = 0;
  for (const channel of from) {
    for (let y = 0; y < rows.size; y++) {
      const row = rows.index[top + y]! * width;
      for (let x = 0; x < columns.size; x++)
        out[at++] = data[(row + columns.index[left + x]!) * 4 + channel]! / 255;
    }
  }
  return new Tensor(out, [1, from.length, rows.size, columns.size]);
}

/** Adds a weighted tile to the band `[channels, height, width]`, without pixels beyond the result. */
function addTile(
  band: Float32Array,
  width: number,
  { data, shape }: Tensor,
  { to }: Pass,
  left: number,
  rowWeights: Float64Array,
  columnWeights: Float64Array,
): void {
  const [, , height = 0, side = 0] = shape;
  const end = Math.min(side, width - left);
  for (const [t, { outputs }] of to.entries()) {
    for (const output of outputs) {
      for (let y = 0; y < height; y++) {
        const weight = rowWeights[y]! / outputs.length;
        const source = (output * height + y) * side;
        const target = (t * height + y) * width + left;
        for (let x = 0; x < end; x++) band[target + x]! += data[source + x]! * weight * columnWeights[x]!;
      }
    }
  }
}

/** Rounds the rows [first, end) of the result, which begin at the band's first row. */
function writeRows(
  band: Float32Array,
  { data, width, channels }: ByteImage,
  { to }: Pass,
  first: number,
  end: number,
  height: number,
): void {
  // Uint8ClampedArray clamps and rounds.
  const bytes = new Uint8ClampedArray(data.buffer, data.byteOffset, data.length);
  for (const [t, { channel }] of to.entries()) {
    for (let y = first; y < end; y++) {
      const source = (t * height + y - first) * width;
      const target = y * width * channels + channel;
      for (let x = 0; x < width; x++) bytes[target + x * channels] = 255 * band[source + x]!;
    }
  }
}

/** Moves the rows of the band up, so that row `by` becomes the first, and clears the rest. */
function shiftUp(band: Float32Array, width: number, channels: number, height: number, by: number): void {
  for (let c = 0; c < channels; c++) {
    const first = c * height * width;
    band.copyWithin(first, first + by * width, first + height * width);
    band.fill(0, first + (height - by) * width, first + height * width);
  }
}
