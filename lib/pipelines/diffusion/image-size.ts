/** Sizes of images by the number of pixels that a model was trained on, and the warnings about them. */
import type { Warnings } from '../../warnings.js';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A size, and whether an image becomes it by being scaled down unasked. */
export interface FittingSize extends Size {
  readonly scaled: boolean;
}

/** Times the model's pixel count above which a size is warned of. */
const LARGE = 4;

/**
 * The size of an image on the model's grid: its own, rounded down, or, of more pixels than the model's, the size of about as many pixels
 * and its proportions. A side that was asked for stays; of a large image the other one then follows the proportions.
 * @param asked sides that the caller gave
 * @param native the model's own size
 */
export function fittingSize(
  asked: { readonly width: number | undefined; readonly height: number | undefined },
  image: Size,
  downsampleFactor: number,
  native: Size,
): FittingSize {
  const down = (side: number): number => Math.floor(side / downsampleFactor) * downsampleFactor;
  const near = (side: number): number =>
    Math.max(downsampleFactor, Math.round(side / downsampleFactor) * downsampleFactor);
  const { width, height } = asked;
  if (width !== undefined && height !== undefined) return { width, height, scaled: false };
  const own = { width: down(image.width), height: down(image.height) };
  const isLarge = own.width * own.height > native.width * native.height;
  if (!isLarge) return { width: width ?? own.width, height: height ?? own.height, scaled: false };
  const size =
    width !== undefined
      ? { width, height: near((width * image.height) / image.width) }
      : height !== undefined
        ? { width: near((height * image.width) / image.height), height }
        : scaledDown(image, downsampleFactor, native.width * native.height);
  return { ...size, scaled: size.width < own.width && size.height < own.height };
}

/** Of the sizes on the grid around the exact one, and of no more pixels, the one with the most like proportions. */
function scaledDown(image: Size, downsampleFactor: number, pixels: number): Size {
  const scale = Math.sqrt(pixels / (image.width * image.height));
  const around = (side: number): number[] => {
    const low = Math.max(downsampleFactor, Math.floor((side * scale) / downsampleFactor) * downsampleFactor);
    return [low, low + downsampleFactor];
  };
  const distortion = (size: Size): number =>
    Math.abs(Math.log((size.width * image.height) / (size.height * image.width)));
  const candidates = around(image.width).flatMap((width) =>
    around(image.height).map((height) => ({ width, height })),
  );
  const fitting = candidates.filter((size) => size.width * size.height <= pixels);
  return fitting.reduce((best, size) => (distortion(size) < distortion(best) ? size : best), candidates[0]!);
}

/** Adds IMAGE_RESIZED where an image was scaled down though no size was asked for. */
export function warnOfResize(warnings: Warnings, image: Size, size: Size, option: string): void {
  warnings.add(
    'IMAGE_RESIZED',
    `${option} of ${text(image)} pixels is larger than what the model was made for, and is scaled down to ${text(size)}; give width and height for another size`,
  );
}

/** Adds LARGE_IMAGE where a size has more than four times the pixels of the model's own. */
export function warnIfLarge(
  warnings: Warnings,
  size: Size,
  native: Size,
  {
    what = 'An image',
    effect = 'it takes long, and subjects may repeat',
  }: { readonly what?: string; readonly effect?: string } = {},
): void {
  const times = (size.width * size.height) / (native.width * native.height);
  if (times <= LARGE) return;
  warnings.add(
    'LARGE_IMAGE',
    `${what} of ${text(size)} pixels has ${Number(times.toPrecision(2))} times as many as the model's own size of ${text(native)}: ${effect}; up to ${LARGE} times as many is usual`,
  );
}

function text({ width, height }: Size): string {
  return `${width} x ${height}`;
}
