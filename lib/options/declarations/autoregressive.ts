/** Options of drawing code indices (VQGAN): how they are chosen, and how many. */
import { integer, number, seed, side } from '../field.js';

export const choiceFields = {
  /** Number of the most probable codes that are drawn from; default the model's, else 250. */
  topK: integer({
    description: "draw among the n most probable codes; default the model's, else 250",
    ...{ min: 1, max: 2 ** 22, default: 250 },
    byModel: true,
  }),
  /** Draws from the fewest most probable codes whose probabilities sum to more than this, in (0, 1]; default the model's, else 1. */
  topP: number({
    description: "draw among the most probable codes that sum to p; default the model's, else 1: all",
    ...{ min: 0, max: 1, default: 1 },
    above: true,
    byModel: true,
    flag: { argument: 'p' },
  }),
  /** Divides the logits: below 1 the likeliest codes gain, above 1 they lose; 1e-6 to 100, default the model's, else 1. */
  temperature: number({
    description: "less than 1 is more careful, more is wilder; default the model's, else 1",
    ...{ min: 1e-6, max: 100, default: 1 },
    byModel: true,
    flag: { argument: 't' },
  }),
  /** Seed of PyTorch's CPU generator: an integer from 0, below 2^53. -1, the default, is random, of 32 bits. */
  seed: seed({ description: 'seed of the random numbers; default -1: random', flag: { short: 's' } }),
};

export const canvasFields = {
  /**
   * Pixels, multiples of the model's factor; default the size it was trained at. Of larger images every code is drawn under a window of
   * that size around it, beginning with random ones.
   */
  width: side({
    description: 'pixels; default the size the model was trained at; larger ones by a sliding window',
    flag: { short: 'W', argument: 'px' },
  }),
  height: side({ description: 'pixels; see the width', flag: { short: 'H', argument: 'px' } }),
};

export const drawFields = { ...choiceFields, ...canvasFields };

/** The size of an image that is encoded rather than drawn. */
export const coverFields = {
  width: side({
    description: 'pixels: the image is resized to cover them and its middle taken',
    flag: { short: 'W', argument: 'px' },
  }),
  height: side({ description: 'pixels; see the width', flag: { short: 'H', argument: 'px' } }),
};
