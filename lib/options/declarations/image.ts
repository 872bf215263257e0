/** Options of the size and number of images. */
import { integer, side } from '../field.js';

export const imageFields = {
  /**
   * Width in pixels, a multiple of the autoencoder's downsampling factor (8). Default: the model's, or with `init`
   * the image's, scaled down to the model's pixel count.
   */
  width: side({
    description:
      "width in pixels; default the model's, or that of the initial image, scaled down to the model's pixel count",
    flag: { short: 'W' },
  }),
  /** Height in pixels, as `width`. */
  height: side({ description: 'height in pixels; default as for the width', flag: { short: 'H' } }),
  /** Number of images, 1 to 1000, with increasing seeds; default 1. */
  count: integer({
    description: 'number of images, with increasing seeds; default 1',
    ...{ min: 1, max: 'maxCount', default: 1 },
    flag: { short: 'c' },
  }),
  /**
   * Images generated in one batch, 1 to 64; larger batches need more memory. Default 4; `dpm_adaptive` always uses 1.
   */
  batch: integer({
    description: 'images generated in one batch; default 4',
    ...{ min: 1, max: 64, default: 4 },
  }),
};
