/** Options of upscaling jobs, besides the image and the names of the upscalers. */
import { boolean, integer, number, type OptionsOf, size } from '../field.js';

/** Upscalers that need no model, by A1111's labels. */
export const resamplers = { lanczos: 'Lanczos', nearest: 'Nearest' } as const;
export type Resampler = keyof typeof resamplers;

export const upscaleFields = {
  /** Ratio of the sides of result and image, 0.01 to 100; default the model's, 2 without a model. */
  scale: number({
    description: "factor of the sides; default the model's, 2 for lanczos and nearest",
    ...{ min: 0.01, max: 100 },
  }),
  /** Size that the result covers, instead of `scale`. The aspect ratio is kept. */
  size: size({
    description: 'size that the result covers, instead of a scale; the aspect ratio is kept',
    ...{ min: 1, max: 2 ** 16 },
  }),
  /** Crops the result to `size`, around its center. Default false. */
  crop: boolean({ description: 'crop the result to size; default false', default: false }),
  /** Rounds the sides of the result down to multiples of this, 1 (default) to 64; 8 is A1111's. */
  multiple: integer({
    description: "round the sides of the result down to multiples of this; default 1, 8 is A1111's",
    ...{ min: 1, max: 64, default: 1 },
  }),
  /** Side in pixels above which the image is processed in tiles, at least 16; 0 disables tiling. */
  tile: integer({
    description:
      'side in pixels above which the image is processed in tiles, at least 16; 0 disables tiling; default by memory mode',
    ...{ min: 0, max: 2 ** 16 },
  }),
  /** Smallest overlap of neighbouring tiles in pixels, less than `tile`; default 32. */
  overlap: integer({
    description: 'smallest overlap of neighbouring tiles in pixels, less than tile; default 32',
    ...{ min: 0, max: 2 ** 16 },
  }),
};

/** Returns the largest number of pixels of an upscaled image; models need less memory per pixel than a generation. */
export function maxUpscaledPixels({ maxPixels }: { readonly maxPixels: number }): number {
  return 4 * maxPixels;
}

export type UpscaleJobOptions = OptionsOf<typeof upscaleFields>;
