/** Splits normalized text into words for a sentencepiece model, as the tokenizers library's `pre_tokenizer`s. */

/** `Metaspace`: white space is replaced by a visible mark that belongs to the following word. */
export interface Metaspace {
  readonly kind: 'metaspace';
  readonly mark: string;
  /** Adds a mark before each segment of text, only before the first one of the text, or never. */
  readonly prepend: 'always' | 'first' | 'never';
  /** Splits before each mark; otherwise the segment stays one word. */
  readonly split: boolean;
}

/** `WhitespaceSplit`: splits at white space, which is removed. */
export interface WhitespaceSplit {
  readonly kind: 'whitespace';
}

export type PreTokenizer = Metaspace | WhitespaceSplit;

/** A segment of text; `first` if it is at the start of the text. */
interface Stretch {
  readonly text: string;
  readonly first: boolean;
}

/**
 * Returns the non-empty words of a segment of normalized text.
 * @param first true if the segment is at the start of the text
 */
export function cutWords(text: string, first: boolean, steps: readonly PreTokenizer[]): string[] {
  let stretches: Stretch[] = [{ text, first }];
  for (const step of steps) {
    stretches = stretches
      .flatMap((stretch) => (step.kind === 'metaspace' ? marked(stretch, step) : words(stretch)))
      .filter((stretch) => stretch.text !== '');
  }
  return stretches.map((stretch) => stretch.text);
}

function words({ text, first }: Stretch): Stretch[] {
  const atStart = first && !/^\p{White_Space}/u.test(text);
  return text
    .split(/\p{White_Space}+/u)
    .filter((word) => word !== '')
    .map((word, i) => ({ text: word, first: atStart && i === 0 }));
}

function marked({ text, first }: Stretch, { mark, prepend, split }: Metaspace): Stretch[] {
  let visible = text.replaceAll(' ', mark);
  const prepends = prepend === 'always' || (prepend === 'first' && first);
  if (prepends && !visible.startsWith(mark)) visible = mark + visible;
  if (!split) return [{ text: visible, first }];
  return visible
    .split(mark)
    .map((word, i) => ({ text: i === 0 ? word : mark + word, first: first && i === 0 }));
}
