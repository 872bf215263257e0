/**
 * A1111's attention syntax: `(a)`, `[a]`, `(a:1.2)`, escapes, BREAK. Schedules `[a:b:10]`, alternation `[a|b]` and AND belong to
 * earlier passes over the prompt (PROMPTS: their output is again a prompt for this one); here they are ordinary characters.
 *
 * Facts from A1111 `modules/prompt_parser.py` (`parse_prompt_attention`), quirks included, because pictures made there are to
 * come out here:
 * - brackets of the two kinds are matched apart, so `(a[b)c]` is allowed; unclosed ones reach to the end;
 * - a weight belongs to round brackets only: in `[a:1.2]` the `:1.2` is text;
 * - a backslash vanishes and keeps a bracket or backslash after it literal;
 * - BREAK counts outside of brackets only: inside, it is the word "BREAK" with minus the weight of its place.
 */

import { invalidOption } from '../errors.js';

/** A run of text of one weight, or the end of a chunk. */
export type PromptPart =
  | { readonly kind: 'text'; readonly text: string; readonly weight: number }
  | { readonly kind: 'break' };

const ROUND = 1.1;
const SQUARE = 1 / 1.1;

/** Weights are multiplied in A1111's order (inner brackets first), to the last bit, down to this depth; below it in the cheapest order. */
const EXACT_DEPTH = 500;

/**
 * Splits a prompt into runs of equal weight. Takes time in proportion to the prompt's length, however brackets are nested.
 * @returns at least one part
 */
export function parsePrompt(prompt: string): PromptPart[] {
  if (typeof prompt !== 'string') throw invalidOption('prompt', 'string', prompt);
  const tokens = scan(prompt);
  const brackets = match(tokens);
  const pieces = weigh(tokens, brackets);
  return merge(pieces).map(({ text, weight }) =>
    text === 'BREAK' && weight === -1 ? { kind: 'break' } : { kind: 'text', text, weight },
  );
}

/** A prompt taken as it is, without any syntax. */
export function plainPrompt(text: string): PromptPart[] {
  return [{ kind: 'text', text, weight: 1 }];
}

type Token =
  | { kind: 'open' | 'close'; square: boolean; text: string; weight?: number }
  | { kind: 'text' | 'literal'; text: string };

/** White space as Python's `\s` has it. */
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
  /** When it closes: an index of a token, or after all of them. */
  closes: number;
}

/**
 * What each opening bracket multiplies by and when, by the index of its token; closing ones without an opening one
 * become text.
 */
function match(tokens: Token[]): Map<number, Bracket> {
  const brackets = new Map<number, Bracket>();
  const [round, square]: [Bracket[], Bracket[]] = [[], []];
  tokens.forEach((token, i) => {
    if (token.kind === 'open') {
      // Until it is closed: the round ones are multiplied last but one, the square ones last.
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
  /** The product of what surrounds the present place, for text and (-1) for BREAK; computed once a place. */
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

/** Brackets of one kind that are open, with the products of the outer ones. */
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

  /** Of the outermost `count`. */
  product(count: number): number {
    return this.#products[count]!;
  }
}

/** Multiplies in the order in which the brackets close, and at once what lies further out than EXACT_DEPTH. */
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

/** Text before, between and after BREAKs, without the white space around them. */
function splitAtBreak(text: string): string[] {
  const parts = text.split(BREAK);
  return parts.map((part, i) => {
    const behind = i > 0 ? part.replace(LEADING, '') : part;
    return i < parts.length - 1 ? trimEnd(behind) : behind;
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
