/** Spans of a part of a prompt without tags and AND: editing, alternation, attention and embeddings. */
import {
  type AttentionPiece,
  attentionPieces,
  type BracketPiece,
  HOLE,
  NUMBER_HOLE,
  type Pair,
  type TextPiece,
} from './attention.js';
import { type Construct, findConstructs, type Level, levelsOf } from './constructs.js';
import type { NameFinder } from './names.js';
import type { SpanStyle, TextView } from './painter.js';
import { alternationSentence, attentionSentence, editingSentence, factor, quoted } from './sentences.js';

/** Settings that apply to all parts of a prompt. */
export interface PartSyntax {
  readonly names: NameFinder;
  /** False if brackets and BREAK are text. */
  readonly attention: boolean;
}

/** Paints a range of a text. */
export function paintPart(view: TextView, from: number, to: number, syntax: PartSyntax): void {
  const text = view.text.slice(from, to);
  const found = findConstructs(text);
  const painter = new PartPainter(view, from, text, syntax);
  for (const level of levelsOf(text.length, Array.isArray(found) ? found : [])) painter.paintLevel(level);
  if (Array.isArray(found) || !text.includes('[')) return;
  const { obstacle } = found;
  view.paint(from + obstacle, from + obstacle + 1, {
    kind: 'literal',
    depth: 0,
    explanation: `Because of this ${quoted(text[obstacle]!)}, editing and alternation in square brackets do not apply here.`,
  });
}

const NUMBER = /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*$/;

/** A construct with what surrounds it. */
interface Surroundings {
  readonly weight: number;
  readonly depth: number;
  readonly sentence: string;
}

class PartPainter {
  readonly #surroundings = new Map<Construct, Surroundings>();

  constructor(
    private readonly view: TextView,
    private readonly from: number,
    private readonly text: string,
    private readonly syntax: PartSyntax,
  ) {}

  /** Paints a level after the one that contains it. */
  paintLevel({ owner, positions, holes }: Level): void {
    const around = owner && this.#surroundings.get(owner.construct);
    const base = around ? { weight: around.weight, depth: around.depth + 1 } : { weight: 1, depth: 0 };
    const characters = positions.map((position, i) => {
      const construct = holes.get(i);
      if (construct) return this.#partsOf(construct).every((part) => NUMBER.test(part)) ? NUMBER_HOLE : HOLE;
      const character = this.text[position]!;
      return character === NUMBER_HOLE ? HOLE : character;
    });
    const level = new LevelView(this.view, this.from, characters.join(''), positions);
    const inside = [...holes];
    let next = 0;
    const whole: TextPiece = { kind: 'text', start: 0, end: level.text.length, ...base };
    for (const piece of this.syntax.attention ? attentionPieces(level.text, base) : [whole]) {
      this.#paintPiece(level, piece, around?.sentence);
      for (; next < inside.length && inside[next]![0] < piece.end; next++) {
        const weight = piece.kind === 'text' ? piece.weight : base.weight;
        this.#paintConstruct(inside[next]![1], weight, piece.depth);
      }
    }
  }

  #paintPiece(level: LevelView, piece: AttentionPiece, context: string | undefined): void {
    const { start, end, depth } = piece;
    if (piece.kind === 'text') this.#paintText(level, piece, context);
    else if (piece.kind === 'bracket') paintBracket(level, piece);
    else {
      const explanation = piece.kind === 'break' ? BREAK_SENTENCE : escapeSentence(level, piece);
      level.paint(start, end, { kind: piece.kind, depth, explanation });
    }
  }

  #paintText(level: LevelView, piece: TextPiece, context: string | undefined): void {
    const { start, end, depth, weight } = piece;
    const own = level.original(start, end);
    const attention = weight !== 1 && own.trim() !== '' ? attentionSentence(own, weight) : undefined;
    const sentences = [context, attention].filter((sentence) => sentence !== undefined);
    const kind = context !== undefined ? 'scheduled' : weight !== 1 ? 'emphasized' : 'text';
    level.paint(start, end, {
      kind,
      depth,
      ...(sentences.length > 0 ? { explanation: sentences.join(' ') } : {}),
    });
    for (const name of this.syntax.names.find(level.text.slice(start, end))) {
      const sentence = `Inserts the embedding ${quoted(level.original(start + name.start, start + name.end))}.`;
      const explanation = [sentence, ...sentences].join(' ');
      level.paint(start + name.start, start + name.end, { kind: 'embedding', depth, explanation });
    }
  }

  #paintConstruct(construct: Construct, weight: number, depth: number): void {
    const { kind, start, separators, close } = construct;
    const parts = this.#partsOf(construct);
    const when = parts.at(-1)!.trim();
    const sentence =
      kind === 'alternation'
        ? alternationSentence(parts)
        : editingSentence(parts.length === 3 ? parts[0]! : '', parts.at(-2)!, when);
    this.#surroundings.set(construct, { weight, depth, sentence });
    for (const position of [start, ...separators, close])
      this.#paint(position, position + 1, { kind, depth, explanation: sentence });
    if (kind === 'editing')
      this.#paint(separators.at(-1)! + 1, close, { kind: 'step', depth: depth + 1, explanation: sentence });
  }

  /** Returns the text between the separators of a construct. */
  #partsOf({ start, separators, close }: Construct): string[] {
    const ends = [...separators, close];
    return ends.map((end, i) => this.#original(i === 0 ? start + 1 : ends[i - 1]! + 1, end));
  }

  #paint(start: number, end: number, style: SpanStyle): void {
    this.view.paint(this.from + start, this.from + end, style);
  }

  #original(start: number, end: number): string {
    return this.view.original(this.from + start, this.from + end);
  }
}

/** Text of a level with its place in the view. */
class LevelView {
  constructor(
    private readonly view: TextView,
    private readonly from: number,
    readonly text: string,
    private readonly positions: readonly number[],
  ) {}

  paint(start: number, end: number, style: SpanStyle): void {
    for (let i = start; i < end; ) {
      const first = this.positions[i]!;
      let until = i + 1;
      while (until < end && this.positions[until] === first + until - i) until++;
      this.view.paint(this.from + first, this.from + first + until - i, style);
      i = until;
    }
  }

  /** Returns the prompt's text from the first to the last character of a range, including constructs between them. */
  original(start: number, end: number): string {
    if (start >= end) return '';
    const until = this.positions[end] ?? this.positions[end - 1]! + 1;
    return this.view.original(this.from + this.positions[start]!, this.from + until);
  }
}

const BREAK_SENTENCE = 'Ends the chunk: the text after it is encoded separately.';

function escapeSentence(level: LevelView, { start, end }: AttentionPiece): string {
  // A pipe has no meaning for attention; its backslash protects it from alternation.
  const next = level.text[end] === '|' ? '|' : undefined;
  const literal = end - start === 2 ? level.text[end - 1] : next;
  return literal ? `A literal ${quoted(literal)}.` : 'This backslash is left out.';
}

function paintBracket(level: LevelView, { start, end, depth, pair }: BracketPiece): void {
  if (!pair) {
    const explanation = 'No bracket is open before it, so it is text.';
    level.paint(start, end, { kind: 'literal', depth, explanation });
    return;
  }
  const style = { depth, explanation: pairSentence(level, pair) };
  level.paint(end - 1, end, { ...style, kind: pair.close ? 'emphasis' : 'unclosed' });
  if (end - start > 1) level.paint(start, end - 1, { ...style, kind: 'weight' });
}

function pairSentence(level: LevelView, { square, factor: weight, open, close }: Pair): string {
  const change = square
    ? 'divided by 1.1'
    : `multiplied by ${weight === undefined ? 'a number that changes while sampling' : factor(weight)}`;
  return close
    ? `Attention to ${quoted(level.original(open + 1, close.start))} is ${change}.`
    : `This bracket is not closed: attention to all text after it is ${change}.`;
}
