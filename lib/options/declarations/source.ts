/** Options of the initial image (image to image). */
import { resizeModes } from '../../image/resize-mode.js';
import { checkTensor } from '../../tensor/check-tensor.js';
import type { Tensor } from '../../tensor/tensor.js';
import { choice, custom, image, number } from '../field.js';

export const sourceFields = {
  /** Initial image, for image to image. */
  init: image({ description: 'initial image', flag: { short: 'i' } }),
  /** Initial latent instead of `init`: noise-free, `[1 or count, C, h, w]`, as returned by `pipeline.encode`. */
  latent: custom({
    description: 'initial latent',
    check: (name, value): Tensor => checkTensor(name, value, ['B', 'C', 'h', 'w']),
  }),
  /** Denoising strength, 0 (keeps `init` or `latent`) to 1 (starts from noise); default 0.75. */
  strength: number({
    description: 'denoising strength, 0 (keeps the initial image) to 1 (starts from noise); default 0.75',
    ...{ min: 0, max: 1, default: 0.75 },
  }),
  /** Latent of `init`: the mean of the encoder's distribution (default) or a sample from it. */
  posterior: choice(['mean', 'sample'], {
    description: "latent of the initial image: the mean of the encoder's distribution (default) or a sample",
    default: 'mean',
    flag: { argument: 'kind' },
    infotext: { label: 'Posterior' },
  }),
  /** Method of fitting `init` to the requested size; default `resize`. */
  resizeMode: choice(resizeModes, {
    description: 'method of fitting the initial image to the requested size; default resize',
    default: 'resize',
    labels: {
      ...{ resize: 'Just resize', crop: 'Crop and resize', fill: 'Resize and fill' },
      latent: 'Just resize (latent upscale)',
    },
    flag: { argument: 'kind' },
    infotext: { label: 'Resize mode' },
  }),
  /** Factor of the noise added to `init`, 0 to 1.5; default 1. */
  initialNoiseMultiplier: number({
    description: 'factor of the noise added to the initial image; default 1',
    ...{ min: 0, max: 1.5, default: 1 },
    infotext: { label: 'Noise multiplier' },
  }),
};

export type Posterior = (typeof sourceFields)['posterior']['values'][number];
