/** Options that say what an image shows. */
import { emphases } from '../../conditioning/emphasis.js';
import type { Encoding } from '../../conditioning/prompt-encoder.js';
import { invalidOption } from '../../errors.js';
import { knownKeys } from '../../known-keys.js';
import { choice, custom, integer, type OptionsOf, text } from '../field.js';

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

/** An encoding; one that was put together by hand need not say how many windows it has. */
export type GivenEncoding = Omit<Encoding, 'chunks' | 'pooled'> &
  Partial<Pick<Encoding, 'chunks' | 'pooled'>>;

export interface GivenEmbeddings {
  readonly positive: GivenEncoding;
  /** Default: the empty prompt's. */
  readonly negative?: GivenEncoding | undefined;
}

export const embeddingFields = {
  /** Encodings in the place of `prompt` and `negative`, as `pipeline.encodeText` gives them (with `negative: true` for the negative one). */
  embeddings: custom({
    description: 'encoded prompts',
    // Tensors are held to the model once it is known.
    check: (name, value): GivenEmbeddings => {
      knownKeys(name, value, new Set(['positive', 'negative']));
      const given = value as GivenEmbeddings;
      if (given.positive === undefined)
        throw invalidOption(`${name}.positive`, 'an encoding of encodeText', undefined);
      return given;
    },
  }),
};

export const textFields = { ...conditionFields, ...encodingFields, ...embeddingFields };
export type ConditionOptions = OptionsOf<typeof conditionFields>;
