/** Layout of a grid's sheet: images in rows and columns with labels, one block per value of z. */
import { SafelightError } from '../../errors.js';
import type { RgbImage } from '../../tensor/render.js';
import { type ParsedAxes, sizesOf } from './axes.js';
import type { Axis } from './axis.js';
import { drawLabel } from './labels.js';

/** An image in a file, which is read when it is drawn. */
export interface StoredCell {
  readonly width: number;
  readonly height: number;
  /** Returns the pixels; undefined if the file is gone. */
  load(): Promise<RgbImage | undefined>;
}

/** Returns the image of a cell; undefined for one that is missing. */
export type CellAt = (x: number, y: number, z: number) => RgbImage | StoredCell | undefined;

/** Most pixels of a sheet, which fit into every format but WebP (16,383 pixels a side). */
export const MAX_SHEET_PIXELS = 2 ** 28;
/** Pixels between cells, and around labels. */
const GAP = 4;
const PADDING = 8;
const WHITE = 255;

/** Returns the size of the labels' font for cells of a size. */
function fontSize(width: number, height: number): number {
  return Math.max(12, Math.round(Math.min(width, height) / 20));
}

/**
 * Draws a sheet. Columns and rows are as wide and high as their largest image; missing cells stay white.
 * @param size of cells in columns or rows without any image
 * @throws INVALID_OPTION for more than 2^28 pixels
 */
export async function drawSheet(
  axes: ParsedAxes,
  cellAt: CellAt,
  size: { readonly width: number; readonly height: number },
): Promise<RgbImage> {
  const [columns, rows, blocks] = sizesOf(axes);
  const widths = Array.from({ length: columns }, (_, x) =>
    largest(
      cellsOf(rows, blocks).map(([y, z]) => cellAt(x, y, z)?.width),
      size.width,
    ),
  );
  const heights = Array.from({ length: blocks }, (_, z) =>
    Array.from({ length: rows }, (_, y) =>
      largest(
        widths.map((_, x) => cellAt(x, y, z)?.height),
        size.height,
      ),
    ),
  );
  const font = fontSize(size.width, size.height);
  const rowLabels = await labelsOf(axes.y, (i) => ({
    width: Math.max(160, Math.round(size.width / 2)),
    maxHeight: Math.min(...heights.map((block) => block[i]!)),
    size: font,
  }));
  const columnLabels = await labelsOf(axes.x, (i) => ({
    width: widths[i]!,
    maxHeight: 8 * font,
    size: font,
  }));
  const left = axes.y ? largest(rowLabels.map(({ width }) => width)) + 2 * PADDING : 0;
  const width = left + sum(widths) + GAP * (columns - 1);
  const titles = await labelsOf(axes.z, () => ({
    width: width - 2 * PADDING,
    maxHeight: 8 * font,
    size: Math.round(font * 1.3),
    bold: true,
  }));
  const top = axes.x ? largest(columnLabels.map(({ height }) => height)) + 2 * PADDING : 0;
  const titleHeights = titles.map(({ height }) => height + 2 * PADDING);
  const blockHeights = heights.map(
    (block, z) => (titleHeights[z] ?? 0) + top + sum(block) + GAP * (rows - 1),
  );
  const height = sum(blockHeights) + GAP * (blocks - 1);
  checkSheetSize(width, height);

  const canvas = new Canvas(width, height);
  let blockTop = 0;
  for (let z = 0; z < blocks; z++) {
    const title = titles[z];
    if (title) canvas.centre(title, 0, blockTop, width, titleHeights[z]!);
    let y0 = blockTop + (titleHeights[z] ?? 0);
    let x0 = left;
    for (const [x, label] of columnLabels.entries()) {
      canvas.centre(label, x0, y0, widths[x]!, top);
      x0 += widths[x]! + GAP;
    }
    y0 += top;
    for (let y = 0; y < rows; y++) {
      const rowHeight = heights[z]![y]!;
      const label = rowLabels[y];
      if (label) canvas.centre(label, 0, y0, left, rowHeight);
      x0 = left;
      for (let x = 0; x < columns; x++) {
        const cell = cellAt(x, y, z);
        const image = cell && 'load' in cell ? await cell.load() : cell;
        if (image) canvas.centre(image, x0, y0, widths[x]!, rowHeight);
        x0 += widths[x]! + GAP;
      }
      y0 += rowHeight + GAP;
    }
    blockTop += blockHeights[z]! + GAP;
  }
  return canvas;
}

/** @throws INVALID_OPTION */
export function checkSheetSize(width: number, height: number): void {
  if (width * height <= MAX_SHEET_PIXELS) return;
  throw new SafelightError(
    'INVALID_OPTION',
    `The sheet would have ${width} x ${height} pixels, more than ${MAX_SHEET_PIXELS}; use fewer values or smaller images`,
  );
}

/**
 * Rejects a sheet that is too large after the first cell rather than after the last. Sizes that an axis changes are
 * not known yet.
 * @throws INVALID_OPTION
 */
export function checkLeastSheetSize(axes: ParsedAxes, first: RgbImage): void {
  const [columns, rows, blocks] = sizesOf(axes);
  const sizes = [axes.x, axes.y, axes.z].some((axis) => axis && /width|height|scale/.test(axis.name));
  if (!sizes) checkSheetSize(first.width * columns, first.height * rows * blocks);
}

async function labelsOf(
  axis: Axis | undefined,
  options: (index: number) => Parameters<typeof drawLabel>[1],
): Promise<RgbImage[]> {
  const labels: RgbImage[] = [];
  for (const [i, { label }] of (axis?.values ?? []).entries())
    labels.push(await drawLabel(label, options(i)));
  return labels;
}

function cellsOf(rows: number, blocks: number): [y: number, z: number][] {
  return Array.from({ length: rows * blocks }, (_, i) => [i % rows, Math.floor(i / rows)]);
}

/** Returns the largest of the sides that exist, else `fallback`. */
function largest(sides: readonly (number | undefined)[], fallback = 0): number {
  const known = sides.filter((side) => side !== undefined);
  return known.length === 0 ? fallback : known.reduce((a, b) => Math.max(a, b));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** A white image on which others are placed. */
class Canvas implements RgbImage {
  readonly data: Uint8Array<ArrayBuffer>;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.data = new Uint8Array(width * height * 3).fill(WHITE);
  }

  /** Copies an image into the centre of a rectangle. */
  centre(image: RgbImage, x: number, y: number, width: number, height: number): void {
    const left = x + Math.max(0, Math.floor((width - image.width) / 2));
    const top = y + Math.max(0, Math.floor((height - image.height) / 2));
    const bytes = image.width * 3;
    for (let row = 0; row < image.height; row++)
      this.data.set(
        image.data.subarray(row * bytes, (row + 1) * bytes),
        ((top + row) * this.width + left) * 3,
      );
  }
}
