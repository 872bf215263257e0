/** Options that say what an image shows. */
import { emphases } from '../../conditioning/emphasis.js';
import { choice, integer, type OptionsOf, text } from '../field.js';

/** Above ImageNet's 22,000 classes, and what may come. */
const MAX_CLASS = 2 ** 24;

export const conditionFields = {
  /** Describes the image, in A1111's syntax, in at most 120,000 characters; for models that read text. */
  prompt: text({ description: "what to draw, in A1111's syntax", max: 'maxPrompt', flag: null }),
  /** Describes what to keep out of the image; default empty. */
  negative: text({
    description: 'what not to draw',
    max: 'maxPrompt',
    default: '',
    flag: { short: 'n' },
  }),
  /** The class to draw, from 0; for models that were trained on classes. */
  class: integer({
    description: 'class to draw, from 0; for models that know classes',
    ...{ min: 0, max: MAX_CLASS },
    infotext: { label: 'Class' },
  }),
};

export const encodingFields = {
  /** The hidden state of the text encoder that is used, counted from its end: 1 (default) is the last. SD2 and SDXL ignore it. */
  clipSkip: integer({
    description: 'layer of the text encoder from its end; default 1',
    ...{ min: 1, max: 100, default: 1 },
    infotext: { label: 'Clip skip' },
  }),
  /** The effect of weights like `(red:1.3)` on the encoded text; default `original`. */
  emphasis: choice(emphases, {
    description: 'effect of (weights:1.3); default original',
    default: 'original',
    labels: { original: 'Original', 'no norm': 'No norm', ignore: 'Ignore', none: 'None' },
    flag: { argument: 'mode' },
    infotext: { label: 'Emphasis' },
  }),
};

export const textFields = { ...conditionFields, ...encodingFields };
export type ConditionOptions = OptionsOf<typeof conditionFields>;
