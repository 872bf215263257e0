/**
 * Text as CLIP's tokenizer sees it before byte pairs are merged: normalized, then cut into words. Facts: transformers 5
 * `models/clip/tokenization_clip.py`; where Unicode versions differ, the tokenizers library's count.
 */
import { orderMarks } from './mark-order.js';
import { LETTERS, NUMBERS, STRANGERS_TO_NFC, YOUNG_CAPITALS } from './unicode-tables.js';

/** `White_Space` of Unicode; JavaScript's `\s` lacks U+0085 and adds U+FEFF. */
const SPACE = '\\t-\\r\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const LETTER = classOf(LETTERS);
const NUMBER = classOf(NUMBERS);

const spaces = new RegExp(`[${SPACE}]+`, 'gu');
const stranger = `[${classOf(STRANGERS_TO_NFC)}]`;
const strangers = new RegExp(stranger, 'u');
const aroundStrangers = new RegExp(`(${stranger}+)`, 'u');
/** With the marks behind, which take their places again. */
const madeStrangers = new RegExp(`${stranger}\\p{M}*`, 'gu');
const young = new Map(
  YOUNG_CAPITALS.split(' ').map((pair) => {
    const [capital = 0, small = 0] = pair.split('.').map((digits) => Number.parseInt(digits, 36));
    return [String.fromCodePoint(capital), String.fromCodePoint(small)];
  }),
);
const youngCapitals = new RegExp([...young.keys()].join('|'), 'gu');
const words = new RegExp(
  `<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[${LETTER}]+|[${NUMBER}]|[^${SPACE}${LETTER}${NUMBER}]+`,
  'gu',
);
const marker = /^(<\|)(startoftext|endoftext)(\|>)$/;

/** Composed (NFC), every run of white space one space, lower case without regard to context. */
export function normalize(text: string): string {
  return lower(compose(text).replace(spaces, ' '));
}

/**
 * Runs of letters, single digits, runs of other characters, and English contractions, of normalized text. White space separates and
 * vanishes.
 */
export function splitWords(text: string): string[] {
  const found = text.match(words) ?? [];
  // The library cuts once more, by GPT-2's expression, which knows no start and end marker.
  return found.flatMap((word) => marker.exec(word)?.slice(1) ?? word);
}

/**
 * The library's NFC knows nothing newer than Unicode 9: later characters stand still, nothing moves past them, and none comes of
 * composing.
 */
function compose(text: string): string {
  const parts = strangers.test(text) ? text.split(aroundStrangers) : [text];
  return parts
    .map((part, i) =>
      i % 2 === 0 ? orderMarks(part).normalize('NFC').replace(madeStrangers, decompose) : part,
    )
    .join('');
}

function decompose(text: string): string {
  return text.normalize('NFD');
}

/** Character by character: no final sigma. */
function lower(text: string): string {
  return text
    .replaceAll('Σ', 'σ')
    .toLowerCase()
    .replace(youngCapitals, (capital) => young.get(capital)!);
}

/** The inside of a character class, from runs `gap.length` in base 36. */
function classOf(packed: string): string {
  let end = 0;
  let inside = '';
  for (const run of packed.split(' ')) {
    const [gap = 0, length = 0] = run.split('.').map((digits) => Number.parseInt(digits, 36));
    const first = end + gap;
    end = first + length;
    inside += `\\u{${first.toString(16)}}-\\u{${end.toString(16)}}`;
  }
  return inside;
}
