/**
 * Text of any length. It wraps within words, and a text longer than a few lines can be scrolled, also with the
 * keyboard.
 */

/**
 * Number of characters that always fit, and the characters that a line break counts as (about one line on a
 * phone).
 */
const FITTING_LENGTH = 200;
const CHARACTERS_PER_LINE = 40;

export function LongText({ text }: { readonly text: string }) {
  const length = text.length + CHARACTERS_PER_LINE * (text.split('\n').length - 1);
  return (
    <span class="long-text" {...(length > FITTING_LENGTH ? { tabIndex: 0 } : {})}>
      {text}
    </span>
  );
}
