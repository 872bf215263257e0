/**
 * BERT's uncased basic tokenizer: splits a text into words and punctuation marks (transformers' `BertTokenizerFast`).
 */

import { orderMarks } from './mark-order.js';

/** Tab, line feed and carriage return are spaces; other control characters are removed. */
const SPACE = /[\t\n\r\p{Zs}]/u;
const CONTROL = /[\0\uFFFD\p{C}]/u;
const MARK = /\p{Mn}/gu;
/** ASCII characters other than letters, digits and spaces, and Unicode's punctuation. */
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/u;
/** Ranges of ideographs, each of which is one word. */
const IDEOGRAPHS: readonly (readonly [first: number, last: number])[] = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b820, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
];

/** Returns lower-case words without accents, with each punctuation mark and ideograph as a separate word. */
export function basicWords(text: string): string[] {
  let cleaned = '';
  for (const character of text) {
    if (SPACE.test(character)) cleaned += ' ';
    else if (!CONTROL.test(character)) cleaned += isIdeograph(character) ? ` ${character} ` : character;
  }
  const plain = orderMarks(cleaned).normalize('NFD').replace(MARK, '').toLowerCase();
  const words: string[] = [];
  let word = '';
  const close = () => {
    if (word !== '') words.push(word);
    word = '';
  };
  for (const character of plain) {
    if (/\s/u.test(character)) close();
    else if (PUNCTUATION.test(character)) {
      close();
      words.push(character);
    } else word += character;
  }
  close();
  return words;
}

function isIdeograph(character: string): boolean {
  const point = character.codePointAt(0)!;
  return IDEOGRAPHS.some(([first, last]) => point >= first && point <= last);
}
