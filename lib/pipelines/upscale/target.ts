/** Sizes of upscaled images, computed as A1111 does for a scale or a size to cover. */
import { defined } from '../../defined.js';
import { paste } from '../../image/composite.js';
import type { ByteImage } from '../../image/resample.js';
import type { UpscaleJobOptions } from '../../options/declarations/upscale.js';

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Size of the result, and the size to crop it to afterwards. */
export interface UpscaleTarget extends Size {
  readonly crop: Size | undefined;
}

type TargetOptions = Pick<UpscaleJobOptions, 'scale' | 'size' | 'crop' | 'multiple'>;

/** Returns the size to upscale an image to. */
export function targetOf(
  { width, height }: Size,
  { scale: factor = 2, size, crop = false, multiple = 1 }: TargetOptions,
): UpscaleTarget {
  const scale = size ? Math.max(size.width / width, size.height / height) : factor;
  const onGrid = (side: number): number => {
    const scaled = side * scale;
    return Math.max(multiple, multiple === 1 ? Math.round(scaled) : Math.floor(scaled / multiple) * multiple);
  };
  return { width: onGrid(width), height: onGrid(height), crop: size && crop ? size : undefined };
}

/** Returns the fields by which A1111 describes the size. */
export function targetFields({ scale = 2, size, crop = false }: TargetOptions): Record<string, string> {
  const text = size && `${size.width}x${size.height}`;
  return defined({
    'Postprocess upscale to': text,
    'Postprocess upscale by': size ? undefined : String(scale),
    'Postprocess crop to': crop ? text : undefined,
  }) as Record<string, string>;
}

/** Crops an image around its center; what it lacks of the size is black. */
export function cropped(image: ByteImage, crop: Size | undefined): ByteImage {
  if (!crop) return image;
  const { width, height, channels } = image;
  const canvas = { ...crop, channels, data: new Uint8Array(crop.width * crop.height * channels) };
  const at = (outer: number, inner: number): number => Math.floor(outer / 2) - Math.floor(inner / 2);
  return paste(canvas, image, at(crop.width, width), at(crop.height, height));
}
