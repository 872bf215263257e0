/** Changes of the prompt along an axis, as in A1111's X/Y/Z plot. */
import { invalidOption, SafelightError } from '../../errors.js';
import { apiLimits } from '../../options/limits.js';
import type { CellOptions } from './cell-options.js';

/** Most words of `prompt-order`: 720 orders. */
const MAX_WORDS = 6;

/** Replaces a text in the prompt and the negative prompt. @throws INVALID_OPTION if neither contains it */
export function replace(options: CellOptions, search: string, text: string): CellOptions {
  const { prompt, negative } = { prompt: promptOf(options), negative: options.negative };
  const inNegative = typeof negative === 'string' && negative.includes(search);
  if (!prompt.includes(search) && !inNegative)
    throw new SafelightError(
      'INVALID_OPTION',
      `prompt-sr: neither the prompt nor the negative prompt contains ${JSON.stringify(search.slice(0, 60))}, the first value of the axis`,
    );
  return {
    ...options,
    prompt: replaced('prompt', prompt, search, text),
    ...(inNegative ? { negative: replaced('negative', negative, search, text) } : {}),
  };
}

/** Replaces all occurrences, unless the result would be longer than any prompt may be. @throws INVALID_OPTION */
function replaced(name: string, prompt: string, search: string, text: string): string {
  const parts = prompt.split(search);
  const length = prompt.length + (parts.length - 1) * (text.length - search.length);
  if (length <= apiLimits.maxPrompt) return parts.join(text);
  throw invalidOption(
    'prompt-sr',
    `values that leave the ${name} at most ${apiLimits.maxPrompt} characters long`,
    length,
    `the first value occurs ${parts.length - 1} times`,
  );
}

/**
 * Puts the words, which the prompt contains in any order, at their places in the given order.
 * @throws INVALID_OPTION for a word that the prompt does not contain
 */
export function reorder(options: CellOptions, words: readonly string[]): CellOptions {
  const prompt = promptOf(options);
  const places = words.map((word) => {
    const at = prompt.indexOf(word);
    if (at < 0)
      throw new SafelightError(
        'INVALID_OPTION',
        `prompt-order: the prompt does not contain ${JSON.stringify(word.slice(0, 60))}`,
      );
    return { at, end: at + word.length };
  });
  places.sort((a, b) => a.at - b.at);
  let result = '';
  let from = 0;
  for (const [i, { at, end }] of places.entries()) {
    if (at < from)
      throw new SafelightError(
        'INVALID_OPTION',
        `prompt-order: the places of ${words.map((word) => JSON.stringify(word.slice(0, 60))).join(', ')} in the prompt overlap; use words that do not contain each other`,
      );
    result += prompt.slice(from, at) + words[i]!;
    from = end;
  }
  return { ...options, prompt: result + prompt.slice(from) };
}

/** Returns all orders, beginning with the given one. @throws INVALID_OPTION for more than 6 words */
export function permutations(words: readonly string[]): string[][] {
  if (words.length > MAX_WORDS) throw invalidOption('prompt-order', `at most ${MAX_WORDS} values`, words);
  if (words.length <= 1) return [[...words]];
  return words.flatMap((word, i) =>
    permutations(words.filter((_, other) => other !== i)).map((rest) => [word, ...rest]),
  );
}

function promptOf({ prompt }: CellOptions): string {
  if (typeof prompt === 'string') return prompt;
  throw invalidOption('prompt', 'a prompt for this axis', prompt);
}
