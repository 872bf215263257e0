/**
 * A1111's attention syntax: `(a)`, `[a]`, `(a:1.2)`, escapes, BREAK. Prompt editing `[a:b:10]`, alternation `[a|b]`
 * and AND are handled by other passes in A1111; here they are ordinary text.
 *
 * Follows A1111 `modules/prompt_parser.py` (`parse_prompt_attention`) including its quirks, so that its images can be
 * reproduced:
 * - round and square brackets are matched independently, so `(a[b)c]` is valid; unclosed ones extend to the end;
 * - only round brackets have weights: in `[a:1.2]`, `:1.2` is text;
 * - a backslash is removed and makes a following bracket or backslash literal;
 * - BREAK ends a chunk only outside of brackets: inside, it is the word "BREAK" with the negated weight of its
 *   position.
 */

import { invalidOption } from '../errors.js';

/** Text of constant weight, or the end of a chunk (BREAK). */
export type PromptPart =
  | { readonly kind: 'text'; readonly text: string; readonly weight: number }
  | { readonly kind: 'break' };

const ROUND = 1.1;
const SQUARE = 1 / 1.1;

/**
 * Depth up to which weights are multiplied in A1111's order (inner brackets first), which determines the last bits of
 * the product.
 */
const EXACT_DEPTH = 500;

/**
 * Splits a prompt into parts of constant weight. Runs in time proportional to the prompt's length, regardless of
 * nesting.
 * @returns at least one part
 */
export function parsePrompt(prompt: string): PromptPart[] {
  if (typeof prompt !== 'string') throw invalidOption('prompt', 'a string', prompt);
  const tokens = scan(prompt);
  const brackets = match(tokens);
  const pieces = weigh(tokens, brackets);
  return merge(pieces).map(({ text, weight }) =>
    text === 'BREAK' && weight === -1 ? { kind: 'break' } : { kind: 'text', text, weight },
  );
}

/** Returns a prompt as a single part, without parsing any syntax. */
export function plainPrompt(text: string): PromptPart[] {
  return [{ kind: 'text', text, weight: 1 }];
}

type Token =
  | { kind: 'open' | 'close'; square: boolean; text: string; weight?: number }
  | { kind: 'text' | 'literal'; text: string };

/** Characters that Python's `\s` matches. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const NUMBER = '[+-]?(?:\\d+(?:\\.\\d*)?|\\.\\d+)';
const TOKEN = new RegExp(
  `\\\\([()[\\]\\\\]?)|([([])|:[${SPACE}]*(${NUMBER})[${SPACE}]*\\)|([)\\]])|[^\\\\()[\\]:]+|:`,
  'g',
);

function scan(prompt: string): Token[] {
  const tokens: Token[] = [];
  for (const [text, escaped, open, weight, close] of prompt.matchAll(TOKEN)) {
    if (escaped !== undefined) tokens.push({ kind: 'literal', text: escaped });
    else if (open !== undefined) tokens.push({ kind: 'open', square: open === '[', text });
    else if (weight !== undefined)
      tokens.push({ kind: 'close', square: false, text, weight: Number(weight) });
    else if (close !== undefined) tokens.push({ kind: 'close', square: close === ']', text });
    else tokens.push({ kind: 'text', text });
  }
  return tokens;
}

interface Bracket {
  multiplier: number;
  /** Index of the closing token, or a number past the last token for unclosed brackets. */
  closes: number;
}

/**
 * Returns the multiplier and end of each opening bracket by token index. Closing brackets without an opening one are
 * changed to text.
 */
function match(tokens: Token[]): Map<number, Bracket> {
  const brackets = new Map<number, Bracket>();
  const [round, square]: [Bracket[], Bracket[]] = [[], []];
  tokens.forEach((token, i) => {
    if (token.kind === 'open') {
      // Unclosed round brackets are multiplied second to last, unclosed square brackets last.
      const bracket = token.square
        ? { multiplier: SQUARE, closes: tokens.length + 1 }
        : { multiplier: ROUND, closes: tokens.length };
      (token.square ? square : round).push(bracket);
      brackets.set(i, bracket);
    } else if (token.kind === 'close') {
      const bracket = (token.square ? square : round).pop();
      if (!bracket) {
        tokens[i] = { kind: 'text', text: token.text };
        return;
      }
      bracket.closes = i;
      bracket.multiplier = token.weight ?? bracket.multiplier;
    }
  });
  return brackets;
}

interface Piece {
  text: string;
  weight: number;
}

function weigh(tokens: readonly Token[], brackets: ReadonlyMap<number, Bracket>): Piece[] {
  const pieces: Piece[] = [];
  const [round, square] = [new Nest(), new Nest()];
  /** Product of the multipliers of all open brackets (negated for BREAK); recomputed when brackets open or close. */
  let weight: number | undefined;
  tokens.forEach((token, i) => {
    if (token.kind === 'open') {
      (token.square ? square : round).push(brackets.get(i)!);
      weight = undefined;
    } else if (token.kind === 'close') {
      (token.square ? square : round).pop();
      weight = undefined;
    } else {
      weight ??= product(round, square);
      const parts = token.kind === 'literal' ? [token.text] : splitAtBreak(token.text);
      for (const [n, part] of parts.entries()) {
        if (n > 0) pieces.push({ text: 'BREAK', weight: -weight });
        pieces.push({ text: part, weight });
      }
    }
  });
  return pieces.length > 0 ? pieces : [{ text: '', weight: 1 }];
}

/** Open brackets of one kind with the cumulative products of their multipliers. */
class Nest {
  readonly open: Bracket[] = [];
  readonly #products = [1];

  push(bracket: Bracket): void {
    this.open.push(bracket);
    this.#products.push(this.#products.at(-1)! * bracket.multiplier);
  }

  pop(): void {
    this.open.pop();
    this.#products.pop();
  }

  /** Returns the product of the outermost `count` brackets. */
  product(count: number): number {
    return this.#products[count]!;
  }
}

/**
 * Multiplies the multipliers in the order in which their brackets close, and those beyond EXACT_DEPTH by their
 * cumulative product.
 */
function product(round: Nest, square: Nest): number {
  let weight = 1;
  let [r, s] = [round.open.length, square.open.length];
  for (let n = 0; n < EXACT_DEPTH && r + s > 0; n++) {
    const takeRound = s === 0 || (r > 0 && round.open[r - 1]!.closes < square.open[s - 1]!.closes);
    weight *= takeRound ? round.open[--r]!.multiplier : square.open[--s]!.multiplier;
  }
  return weight * round.product(r) * square.product(s);
}

const BREAK = /(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])/gu;
const LEADING = new RegExp(`^[${SPACE}]+`);
const SPACES = new RegExp(`[${SPACE}]`);

/** Splits text at BREAK and removes white space around it. */
function splitAtBreak(text: string): string[] {
  const parts = text.split(BREAK);
  return parts.map((part, i) => {
    const trimmed = i > 0 ? part.replace(LEADING, '') : part;
    return i < parts.length - 1 ? trimEnd(trimmed) : trimmed;
  });
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && SPACES.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

function merge(pieces: readonly Piece[]): Piece[] {
  const merged: Piece[] = [];
  for (const { text, weight } of pieces) {
    const last = merged.at(-1);
    if (last?.weight === weight) last.text += text;
    else merged.push({ text, weight });
  }
  return merged;
}
