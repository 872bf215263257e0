/** Options of the size and number of images. */
import { integer, side } from '../field.js';

export const imageFields = {
  /**
   * Pixels, multiples of the autoencoder's factor (8); default the model's, or with `init` the image's, scaled down to the
   * model's pixel count.
   */
  width: side({
    description: "pixels; default the model's, or those of init, at most the model's pixel count",
    flag: { short: 'W' },
  }),
  height: side({ description: 'pixels; see the width', flag: { short: 'H' } }),
  /** Images, 1 to 1000; default 1. */
  count: integer({
    description: 'images, seeds counting up; default 1',
    ...{ min: 1, max: 'maxCount', default: 1 },
    flag: { short: 'c' },
  }),
  /** Images computed together, 1 to 64; more need more memory. Default 4; `dpm_adaptive` computes one at a time. */
  batch: integer({
    description: 'images computed together; default up to 4',
    ...{ min: 1, max: 64, default: 4 },
  }),
};
