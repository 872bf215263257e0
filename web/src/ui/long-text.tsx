/** Text of any length: it wraps within words, and what does not fit into a few lines is scrolled, with the keyboard too. */

/** Characters, a line break counting as a line of a phone, that are sure to fit. */
const FITS = 200;
const LINE = 40;

export function LongText({ text }: { readonly text: string }) {
  const size = text.length + LINE * (text.split('\n').length - 1);
  return (
    <span class="long-text" {...(size > FITS ? { tabIndex: 0 } : {})}>
      {text}
    </span>
  );
}
