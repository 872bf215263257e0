/** Renders tensors as images. */

import { invalidOption } from '../errors.js';
import type { TensorData } from './dtypes.js';
import { heatColor } from './heat.js';
import { elementCount } from './shape.js';
import { statsOf } from './stats.js';

/** RGB pixels of three bytes each, in rows from the top left. */
export interface RgbImage {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
}

/** RGB pixels that a caller passes, in memory of any kind. */
export interface RgbPixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** @throws INVALID_OPTION */
export function checkRgb(name: string, image: unknown): RgbPixels {
  if (typeof image !== 'object' || image === null)
    throw invalidOption(name, 'RGB pixels as { data, width, height }', image);
  const { data, width, height } = image as Readonly<Record<string, unknown>>;
  for (const [side, size] of Object.entries({ width, height })) {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 1)
      throw invalidOption(`${name}.${side}`, 'an integer of at least 1', size);
  }
  const bytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray ? data : undefined;
  const sides = { width: Number(width), height: Number(height) };
  if (bytes?.length !== sides.width * sides.height * 3)
    throw invalidOption(
      `${name}.data`,
      `3 bytes for each of ${width} x ${height} pixels`,
      bytes?.length ?? data,
    );
  return { data: bytes, ...sides };
}

export interface RenderOptions {
  /**
   * The values shown as the darkest and the brightest. Default: [-1, 1] for three channels (images in the range of the
   * autoencoder), [0, 255] for u8, else `auto`: the minimum and maximum of the finite values.
   */
  readonly range?: readonly [number, number] | 'auto';
  /**
   * `rgb` shows three channels as one image (default for them), `heat` each channel in false colors (default for
   * others), `gray` in gray.
   */
  readonly mode?: 'rgb' | 'heat' | 'gray';
  /** Side length in pixels of the square for each element (default 1). */
  readonly scale?: number;
}

/** One channel or one RGB image: offsets of its planes in the data, each `[height, width]`. */
interface Cell {
  readonly planes: readonly number[];
}

/** The color of elements that are not finite, not part of the color scale. */
const BROKEN = [0, 255, 255] as const;
const GAP = 1;
const MAX_PIXELS = 2 ** 28;

/**
 * Renders a tensor. `[H, W]` and `[N]` are one heat map; `[3, H, W]` and `[B, 3, H, W]` RGB images; `[C, H, W]` and
 * `[B, C, H, W]` a grid of heat maps, with a row for each element of the batch if there are several. Further dimensions
 * are part of the batch.
 * @throws INVALID_OPTION
 */
export function renderTensor(data: TensorData, shape: readonly number[], options: RenderOptions): RgbImage {
  const width = shape.at(-1) ?? 1;
  const height = shape.at(-2) ?? 1;
  const channels = shape.at(-3) ?? 1;
  const batch = elementCount(shape.slice(0, -3));
  if (data.length === 0) throw invalidOption('tensor', 'at least one element', data.length);
  const scale = options.scale ?? 1;
  if (!Number.isInteger(scale) || scale < 1)
    throw invalidOption('scale', 'an integer of at least 1', options.scale);
  const mode = options.mode ?? (channels === 3 ? 'rgb' : 'heat');
  if (mode !== 'rgb' && mode !== 'heat' && mode !== 'gray')
    throw invalidOption('mode', 'one of rgb, heat, gray', mode);
  if (mode === 'rgb' && channels !== 3) throw invalidOption('mode', 'three channels for rgb', mode);

  const plane = width * height;
  const cells: Cell[] = [];
  for (let b = 0; b < batch; b++) {
    const offsets = Array.from({ length: channels }, (_, c) => (b * channels + c) * plane);
    if (mode === 'rgb') cells.push({ planes: offsets });
    else for (const offset of offsets) cells.push({ planes: [offset] });
  }
  const columns = mode !== 'rgb' && batch > 1 && channels > 1 ? channels : Math.ceil(Math.sqrt(cells.length));
  return drawGrid(
    cells,
    columns,
    width * scale,
    height * scale,
    (cell, x, y) => {
      const at = Math.floor(y / scale) * width + Math.floor(x / scale);
      return cell.planes.map((offset) => data[offset + at]!);
    },
    colours(data, mode, options.range),
  );
}

function drawGrid(
  cells: readonly Cell[],
  columns: number,
  cellWidth: number,
  cellHeight: number,
  values: (cell: Cell, x: number, y: number) => number[],
  colour: (values: number[], out: Uint8Array, at: number) => void,
): RgbImage {
  const rows = Math.ceil(cells.length / columns);
  const width = columns * (cellWidth + GAP) - GAP;
  const height = rows * (cellHeight + GAP) - GAP;
  if (width * height > MAX_PIXELS)
    throw invalidOption('tensor', `a tensor that renders to at most ${MAX_PIXELS} pixels`, width * height);
  const out = new Uint8Array(width * height * 3).fill(255);
  cells.forEach((cell, i) => {
    const left = (i % columns) * (cellWidth + GAP);
    const top = Math.floor(i / columns) * (cellHeight + GAP);
    for (let y = 0; y < cellHeight; y++) {
      for (let x = 0; x < cellWidth; x++) colour(values(cell, x, y), out, ((top + y) * width + left + x) * 3);
    }
  });
  return { data: out, width, height };
}

function colours(data: TensorData, mode: 'rgb' | 'heat' | 'gray', range: RenderOptions['range']) {
  const [low, high] = resolveRange(data, mode, range);
  const unit = (v: number): number => Math.min(1, Math.max(0, high > low ? (v - low) / (high - low) : 0.5));
  return (values: number[], out: Uint8Array, at: number): void => {
    if (!values.every(Number.isFinite)) return void out.set(BROKEN, at);
    if (mode === 'heat') return void out.set(heatColor(unit(values[0]!)), at);
    for (let c = 0; c < 3; c++) out[at + c] = Math.round(255 * unit(values[mode === 'rgb' ? c : 0]!));
  };
}

function resolveRange(
  data: TensorData,
  mode: string,
  range: RenderOptions['range'],
): readonly [number, number] {
  if (range !== undefined && range !== 'auto') {
    const isPair = Array.isArray(range) && range.length === 2 && range.every(Number.isFinite);
    if (!isPair || range[0] >= range[1]) {
      throw invalidOption('range', 'two finite numbers, the smaller first', range);
    }
    return range;
  }
  if (range === undefined && data instanceof Uint8Array) return [0, 255];
  if (range === undefined && mode === 'rgb') return [-1, 1];
  const { min, max } = statsOf(data);
  return Number.isNaN(min) ? [0, 1] : [min, max];
}
