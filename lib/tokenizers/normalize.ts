/**
 * Normalizes text for CLIP's tokenizer and splits it into words for byte pair encoding, as transformers 5
 * (`models/clip/tokenization_clip.py`); where Unicode versions differ, as the tokenizers library.
 */
import { orderMarks } from './mark-order.js';
import { LETTERS, NEW_CAPITALS, NUMBERS, UNCHANGED_BY_NFC } from './unicode-tables.js';

/** Unicode's `White_Space`; JavaScript's `\s` lacks U+0085 and contains U+FEFF. */
const SPACE = '\\t-\\r\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const LETTER = classOf(LETTERS);
const NUMBER = classOf(NUMBERS);

const spaces = new RegExp(`[${SPACE}]+`, 'gu');
const unchanged = `[${classOf(UNCHANGED_BY_NFC)}]`;
const anyUnchanged = new RegExp(unchanged, 'u');
const unchangedRuns = new RegExp(`(${unchanged}+)`, 'u');
/** Characters that Node's NFC composes but the library's does not, with their marks; they are decomposed again. */
const unchangedWithMarks = new RegExp(`${unchanged}\\p{M}*`, 'gu');
const smallOf = new Map(
  NEW_CAPITALS.split(' ').map((pair) => {
    const [capital = 0, small = 0] = pair.split('.').map((digits) => Number.parseInt(digits, 36));
    return [String.fromCodePoint(capital), String.fromCodePoint(small)];
  }),
);
const newCapitals = new RegExp([...smallOf.keys()].join('|'), 'gu');
const words = new RegExp(
  `<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[${LETTER}]+|[${NUMBER}]|[^${SPACE}${LETTER}${NUMBER}]+`,
  'gu',
);
const marker = /^(<\|)(startoftext|endoftext)(\|>)$/;

/** Returns the text in NFC, with every run of white space as one space, in lower case without context rules. */
export function normalize(text: string): string {
  return lower(compose(text).replace(spaces, ' '));
}

/**
 * Splits normalized text into runs of letters, single digits, runs of other characters and English contractions;
 * removes white space.
 */
export function splitWords(text: string): string[] {
  const parts = text.match(words) ?? [];
  // The library splits again with GPT-2's expression, which does not handle start and end markers.
  return parts.flatMap((word) => marker.exec(word)?.slice(1) ?? word);
}

/**
 * Normalizes to NFC as of Unicode 9, the library's version: later characters are not reordered, composed or passed by
 * others.
 */
function compose(text: string): string {
  const parts = anyUnchanged.test(text) ? text.split(unchangedRuns) : [text];
  return parts
    .map((part, i) =>
      i % 2 === 0 ? orderMarks(part).normalize('NFC').replace(unchangedWithMarks, decompose) : part,
    )
    .join('');
}

function decompose(text: string): string {
  return text.normalize('NFD');
}

/** Converts character by character, without a final sigma. */
function lower(text: string): string {
  return text
    .replaceAll('Σ', 'σ')
    .toLowerCase()
    .replace(newCapitals, (capital) => smallOf.get(capital)!);
}

/** Expands runs `gap.length` in base 36 to the content of a character class. */
function classOf(packed: string): string {
  let end = 0;
  let content = '';
  for (const run of packed.split(' ')) {
    const [gap = 0, length = 0] = run.split('.').map((digits) => Number.parseInt(digits, 36));
    const first = end + gap;
    end = first + length;
    content += `\\u{${first.toString(16)}}-\\u{${end.toString(16)}}`;
  }
  return content;
}
