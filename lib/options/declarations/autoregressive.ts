/** Options of autoregressive sampling of VQGAN code indices. */
import { integer, number, seed, side } from '../field.js';

export const choiceFields = {
  /** Samples from the `topK` most probable codes only, 1 to 2^22; default the model's, else 250. */
  topK: integer({
    description: "sample from the n most probable codes; default the model's, else 250",
    ...{ min: 1, max: 2 ** 22, default: 250 },
    byModel: true,
  }),
  /**
   * Samples from the smallest set of most probable codes whose probabilities sum to more than this, in (0, 1];
   * default the model's, else 1 (all codes).
   */
  topP: number({
    description: "sample from the most probable codes that sum to p; default the model's, else 1 (all)",
    ...{ min: 0, max: 1, default: 1 },
    above: true,
    byModel: true,
    flag: { argument: 'p' },
  }),
  /**
   * Divisor of the logits, 1e-6 to 100: values below 1 favour probable codes, values above 1 increase variety.
   * Default the model's, else 1.
   */
  temperature: number({
    description:
      "divisor of the logits, below 1 for less variety, above for more; default the model's, else 1",
    ...{ min: 1e-6, max: 100, default: 1 },
    byModel: true,
    flag: { argument: 't' },
  }),
  /** Seed of PyTorch's CPU generator: an integer from 0, below 2^53. The default -1 selects a random 32-bit seed. */
  seed: seed({
    description: 'seed of the random number generator; default -1, random',
    flag: { short: 's' },
  }),
};

export const canvasFields = {
  /**
   * Width in pixels, a multiple of the model's downsampling factor; default the training size. For larger images each
   * code is sampled within a sliding window of the training size, starting from random codes.
   */
  width: side({
    description: 'width in pixels; default the training size, larger images use a sliding window',
    flag: { short: 'W', argument: 'px' },
  }),
  /** Height in pixels, as `width`. */
  height: side({
    description: 'height in pixels; default as for the width',
    flag: { short: 'H', argument: 'px' },
  }),
};

export const sampleFields = { ...choiceFields, ...canvasFields };

/** Size to which an image is resized before encoding. */
export const encodeSizeFields = {
  width: side({
    description: 'width in pixels; the image is resized to cover the size and its centre cropped',
    flag: { short: 'W', argument: 'px' },
  }),
  height: side({
    description: 'height in pixels; as for the width',
    flag: { short: 'H', argument: 'px' },
  }),
};
