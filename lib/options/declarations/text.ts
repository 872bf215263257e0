/** Options of the conditioning: prompts, class, text encoding. */
import { emphases } from '../../conditioning/emphasis.js';
import type { Encoding } from '../../conditioning/prompt-encoder.js';
import { invalidOption } from '../../errors.js';
import { knownKeys } from '../../known-keys.js';
import { choice, custom, integer, type OptionsOf, text } from '../field.js';

/** Well above the 22,000 classes of ImageNet. */
const MAX_CLASS = 2 ** 24;

export const conditionFields = {
  /** Prompt in A1111's syntax, at most 120,000 characters; for text-conditional models. */
  prompt: text({ description: "prompt, in A1111's syntax", max: 'maxPrompt', flag: null }),
  /** Negative prompt: content to keep out of the image; default empty. */
  negative: text({
    description: 'negative prompt; default empty',
    max: 'maxPrompt',
    default: '',
    flag: { short: 'n' },
  }),
  /** Class index, from 0; for class-conditional models. */
  class: integer({
    description: 'class index, from 0; for class-conditional models',
    ...{ min: 0, max: MAX_CLASS },
    infotext: { label: 'Class' },
  }),
};

export const encodingFields = {
  /**
   * Layer of the text encoder whose hidden state is used, counted from the last: 1 (default) to 100. Ignored by SD2
   * and SDXL.
   */
  clipSkip: integer({
    description: 'layer of the text encoder to use, counted from the last; default 1',
    ...{ min: 1, max: 100, default: 1 },
    infotext: { label: 'Clip skip' },
  }),
  /** Effect of weights such as `(red:1.3)` on the encoded text; default `original`. */
  emphasis: choice(emphases, {
    description: 'effect of weights such as (red:1.3); default original',
    default: 'original',
    labels: { original: 'Original', 'no norm': 'No norm', ignore: 'Ignore', none: 'None' },
    flag: { argument: 'mode' },
    infotext: { label: 'Emphasis' },
  }),
};

/** An encoding of a prompt, by `encodeText` or composed by the caller; `chunks` and `pooled` are optional. */
export type GivenEncoding = Omit<Encoding, 'chunks' | 'pooled'> &
  Partial<Pick<Encoding, 'chunks' | 'pooled'>>;

export interface GivenEmbeddings {
  readonly positive: GivenEncoding;
  /** Default: the encoding of the empty prompt. */
  readonly negative?: GivenEncoding | undefined;
}

export const embeddingFields = {
  /**
   * Encodings that replace `prompt` and `negative`, as returned by `pipeline.encodeText` (with `negative: true` for
   * the negative one).
   */
  embeddings: custom({
    description: 'encoded prompts',
    // Tensor shapes are checked once the model is known.
    check: (name, value): GivenEmbeddings => {
      knownKeys(name, value, new Set(['positive', 'negative']));
      const given = value as GivenEmbeddings;
      if (given.positive === undefined)
        throw invalidOption(`${name}.positive`, 'an encoding returned by encodeText', undefined);
      return given;
    },
  }),
};

export const textFields = { ...conditionFields, ...encodingFields, ...embeddingFields };
export type ConditionOptions = OptionsOf<typeof conditionFields>;
