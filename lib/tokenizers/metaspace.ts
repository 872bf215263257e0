/** Cuts normalized text into the words in which sentencepiece's tokenizers look for pieces: the tokenizers library's `pre_tokenizer`s. */

/** `Metaspace`: white space becomes a visible mark that belongs to the word after it. */
export interface Metaspace {
  readonly kind: 'metaspace';
  readonly mark: string;
  /** Puts a mark before each stretch of text, before the one at the text's start, or before none. */
  readonly prepend: 'always' | 'first' | 'never';
  /** Begins a word at each mark; else the stretch stays whole. */
  readonly split: boolean;
}

/** `WhitespaceSplit`: white space separates words and vanishes. */
export interface WhitespaceSplit {
  readonly kind: 'whitespace';
}

export type PreTokenizer = Metaspace | WhitespaceSplit;

/** A stretch of text, and whether it stands at the text's start. */
interface Stretch {
  readonly text: string;
  readonly first: boolean;
}

/**
 * Words of a stretch of normalized text, empty ones left out.
 * @param first whether the stretch begins where the text does
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
  const wanted = prepend === 'always' || (prepend === 'first' && first);
  if (wanted && !visible.startsWith(mark)) visible = mark + visible;
  if (!split) return [{ text: visible, first }];
  return visible
    .split(mark)
    .map((word, i) => ({ text: i === 0 ? word : mark + word, first: first && i === 0 }));
}
