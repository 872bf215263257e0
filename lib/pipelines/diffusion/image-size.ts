/** Image sizes relative to the pixel count of a model's training images, and warnings about them. */
import type { Warnings } from '../../warnings.js';

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface FittingSize extends Size {
  /** True if the image is scaled down to this size without having been requested. */
  readonly scaled: boolean;
}

/** Multiple of the model's pixel count above which a warning is added. */
const MAX_USUAL_RATIO = 4;

/**
 * Returns the size of a generation from an image, in multiples of the downsampling factor: the image's size rounded
 * down, or for images with more pixels than the model's, a size of about as many pixels and the same aspect ratio.
 * Requested sides are kept; for large images, a missing side follows the aspect ratio.
 * @param requested sides requested by the caller
 * @param native size of the model
 */
export function fittingSize(
  requested: { readonly width: number | undefined; readonly height: number | undefined },
  image: Size,
  downsampleFactor: number,
  native: Size,
): FittingSize {
  const down = (side: number): number => Math.floor(side / downsampleFactor) * downsampleFactor;
  const near = (side: number): number =>
    Math.max(downsampleFactor, Math.round(side / downsampleFactor) * downsampleFactor);
  const { width, height } = requested;
  if (width !== undefined && height !== undefined) return { width, height, scaled: false };
  const rounded = { width: down(image.width), height: down(image.height) };
  const isLarge = rounded.width * rounded.height > native.width * native.height;
  if (!isLarge) return { width: width ?? rounded.width, height: height ?? rounded.height, scaled: false };
  const size =
    width !== undefined
      ? { width, height: near((width * image.height) / image.width) }
      : height !== undefined
        ? { width: near((height * image.width) / image.height), height }
        : scaledDown(image, downsampleFactor, native.width * native.height);
  return { ...size, scaled: size.width < rounded.width && size.height < rounded.height };
}

/**
 * Returns the size with the most similar aspect ratio among the neighbouring multiples that have at most `pixels`
 * pixels.
 */
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

/** Adds IMAGE_RESIZED for an image that was scaled down without a requested size. */
export function warnOfResize(warnings: Warnings, image: Size, size: Size, option: string): void {
  warnings.add(
    'IMAGE_RESIZED',
    `${option} of ${text(image)} pixels is larger than the model's training images and is scaled down to ${text(size)}; set width and height for another size`,
  );
}

/** Adds LARGE_IMAGE for a size with more than 4 times the pixels of the model's size. */
export function warnIfLarge(
  warnings: Warnings,
  size: Size,
  native: Size,
  {
    what = 'An image',
    effect = 'generation is slow and subjects may repeat',
  }: { readonly what?: string; readonly effect?: string } = {},
): void {
  const times = (size.width * size.height) / (native.width * native.height);
  if (times <= MAX_USUAL_RATIO) return;
  warnings.add(
    'LARGE_IMAGE',
    `${what} of ${text(size)} pixels has ${Number(times.toPrecision(2))} times as many as the model's size of ${text(native)}: ${effect}; at most ${MAX_USUAL_RATIO} times as many are recommended`,
  );
}

function text({ width, height }: Size): string {
  return `${width} x ${height}`;
}
