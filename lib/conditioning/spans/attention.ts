/** Attention syntax and BREAK in one level of a prompt, by the rules of `prompt.ts`. */

/** A piece of a level; positions are offsets into it, `end` exclusive. */
export type AttentionPiece = TextPiece | MarkPiece | BracketPiece;

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly depth: number;
}

export interface TextPiece extends Piece {
  readonly kind: 'text';
  /** Product of the weights around it. */
  readonly weight: number;
}

interface MarkPiece extends Piece {
  readonly kind: 'break' | 'escape';
}

export interface BracketPiece extends Piece {
  readonly kind: 'bracket';
  /** Undefined for a closing bracket that is text. */
  readonly pair: Pair | undefined;
}

/** An opening bracket of attention and its partner. */
export interface Pair {
  readonly square: boolean;
  /** Factor of the attention; undefined for a weight that contains a construct and changes while sampling. */
  factor: number | undefined;
  readonly open: number;
  /** Undefined for a bracket that is open up to the end. */
  close: { readonly start: number; readonly end: number } | undefined;
}

const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const NUMBER = '[+-]?(?:\\d+(?:\\.\\d*)?|\\.\\d+)';
/** Character that stands for a construct in the text of a level, and for one whose options are all numbers. */
export const HOLE = '\uE001';
export const NUMBER_HOLE = '\uE002';
const TOKEN = new RegExp(
  `\\\\[()[\\]\\\\]?|[([]|:[${SPACE}]*(${NUMBER}|${NUMBER_HOLE})[${SPACE}]*\\)|[)\\]]|[^\\\\()[\\]:]+|:`,
  'g',
);
const BREAK = /(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])/gu;

interface Token {
  readonly start: number;
  readonly text: string;
  readonly pair: Pair | undefined;
}

/**
 * Splits a level into pieces that cover it, in time proportional to its length.
 * @param text with HOLE or NUMBER_HOLE in place of each construct
 * @param base weight and depth around the level
 */
export function attentionPieces(
  text: string,
  base: { readonly weight: number; readonly depth: number },
): AttentionPiece[] {
  const pieces: AttentionPiece[] = [];
  /** Products of the factors of the open brackets of each kind. */
  const products: Record<'round' | 'square', number[]> = { round: [1], square: [1] };
  for (const { start, text: token, pair } of paired(text)) {
    const end = start + token.length;
    const depth = base.depth + products.round.length + products.square.length - 2;
    const product = products[pair?.square ? 'square' : 'round'];
    if (pair?.open === start) {
      product.push(product.at(-1)! * (pair.factor ?? 1));
      pieces.push({ kind: 'bracket', start, end, depth, pair });
    } else if (pair) {
      product.pop();
      pieces.push({ kind: 'bracket', start, end, depth: depth - 1, pair });
    } else if (token.startsWith('\\')) pieces.push({ kind: 'escape', start, end, depth });
    else if (isBracket(token)) pieces.push({ kind: 'bracket', start, end, depth, pair });
    else {
      const weight = base.weight * products.round.at(-1)! * products.square.at(-1)!;
      let from = start;
      // Inside of brackets BREAK is a word.
      for (const { index } of weight === 1 ? token.matchAll(BREAK) : []) {
        addText(pieces, { kind: 'text', start: from, end: start + index, weight, depth });
        from = start + index + 'BREAK'.length;
        pieces.push({ kind: 'break', start: start + index, end: from, depth });
      }
      addText(pieces, { kind: 'text', start: from, end, weight, depth });
    }
  }
  return pieces;
}

/** Adds a text, which is joined to an equal one before it. */
function addText(pieces: AttentionPiece[], piece: TextPiece): void {
  const last = pieces.at(-1);
  if (piece.start === piece.end) return;
  if (last?.kind === 'text' && last.weight === piece.weight && last.depth === piece.depth)
    pieces[pieces.length - 1] = { ...last, end: piece.end };
  else pieces.push(piece);
}

/** Tokenizes a level and pairs its round and square brackets, independently of each other. */
function paired(text: string): Token[] {
  const open: Record<'round' | 'square', Pair[]> = { round: [], square: [] };
  const tokens: Token[] = [];
  for (const { 0: token, 1: weight, index: start } of text.matchAll(TOKEN)) {
    const square = token === '[' || token === ']';
    const stack = open[square ? 'square' : 'round'];
    let pair: Pair | undefined;
    if (token === '(' || token === '[') {
      pair = { square, factor: square ? 1 / 1.1 : 1.1, open: start, close: undefined };
      stack.push(pair);
    } else if (isBracket(token)) {
      pair = stack.pop();
      if (pair) pair.close = { start, end: start + token.length };
      if (pair && weight !== undefined) pair.factor = weight === NUMBER_HOLE ? undefined : Number(weight);
    }
    tokens.push({ start, text: token, pair });
  }
  return tokens;
}

/** Returns true for a closing bracket, also with a weight. */
function isBracket(token: string): boolean {
  return token.length > 1 ? token.startsWith(':') && token.endsWith(')') : /[)\]]/.test(token);
}
