/** Options of the image to begin from (image to image). */
import { resizeModes } from '../../image/resize-mode.js';
import { choice, image, number } from '../field.js';

export const sourceFields = {
  /** The image to begin from (image to image). */
  init: image({ description: 'begin from this image', flag: { short: 'i' } }),
  /** Distance to go from `init`: 0 keeps it, 1 begins from noise; default 0.75. */
  strength: number({
    description: 'how far to go from it: 0 keeps it, 1 begins from noise; default 0.75',
    ...{ min: 0, max: 1, default: 0.75 },
  }),
  /** Latent of `init`: the mean of the encoder's distribution (default) or a sample of it. */
  posterior: choice(['mean', 'sample'], {
    description: "its latent: the encoder's mean (default) or a sample",
    default: 'mean',
    flag: { argument: 'kind' },
    infotext: { label: 'Posterior' },
  }),
  /** The way `init` becomes the size asked for; default `resize`. */
  resizeMode: choice(resizeModes, {
    description: 'how it becomes the size asked for; default resize',
    default: 'resize',
    labels: {
      ...{ resize: 'Just resize', crop: 'Crop and resize', fill: 'Resize and fill' },
      latent: 'Just resize (latent upscale)',
    },
    flag: { argument: 'kind' },
    infotext: { label: 'Resize mode' },
  }),
  /** Multiplies the noise laid on `init`, 0 to 1.5; default 1. */
  initialNoiseMultiplier: number({
    description: 'multiplies the noise laid on it; default 1',
    ...{ min: 0, max: 1.5, default: 1 },
    infotext: { label: 'Noise multiplier' },
  }),
};

export type Posterior = (typeof sourceFields)['posterior']['values'][number];
