/** Assignment of the characters of a prompt to spans. */

export type SpanKind =
  /** Ordinary text. */
  | 'text'
  /** Text whose attention is not 1. */
  | 'emphasized'
  /** Text that applies at some steps only. */
  | 'scheduled'
  /** Name of an embedding. */
  | 'embedding'
  /** Bracket of attention. */
  | 'emphasis'
  /** Weight of attention with its colon. */
  | 'weight'
  /** Opening bracket of attention without a closing one: it extends to the end. */
  | 'unclosed'
  /** Brackets and colons of editing `[from:to:when]`. */
  | 'editing'
  /** Step or fraction at which editing switches. */
  | 'step'
  /** Brackets and separators of an alternation `[a|b]`. */
  | 'alternation'
  | 'and'
  /** Weight of a prompt that is joined by AND. */
  | 'and-weight'
  | 'break'
  /** Tag such as `<lora:name:1>`. */
  | 'network'
  /** Backslash and the character that it makes literal. */
  | 'escape'
  /** Text of an option of a variant, without another meaning. */
  | 'choice'
  /** Braces, number, weights and separators of a variant `{2$$a|2::b}`. */
  | 'variant'
  /** Wildcard `__name__`. */
  | 'wildcard'
  /** Syntax without a partner, which is text. */
  | 'literal';

export interface PromptSpan {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly kind: SpanKind;
  /** Number of constructs and brackets around it. */
  readonly depth: number;
  /** Sentences that say what it does; undefined for ordinary text. */
  readonly explanation?: string;
}

export type SpanStyle = Omit<PromptSpan, 'start' | 'end'>;

/** Collects the style of each character; the last one painted counts. */
export class SpanPainter {
  readonly #styles: SpanStyle[] = [{ kind: 'text', depth: 0 }];
  readonly #byCharacter: Uint32Array;

  constructor(readonly text: string) {
    this.#byCharacter = new Uint32Array(text.length);
  }

  paint(start: number, end: number, style: SpanStyle): void {
    this.#byCharacter.fill(this.#styles.push(style) - 1, start, end);
  }

  /** Returns the span style of a character. */
  at(index: number): SpanStyle {
    return this.#styles[this.#byCharacter[index]!]!;
  }

  /** Returns the spans in order; each character belongs to one. */
  spans(): PromptSpan[] {
    const spans: PromptSpan[] = [];
    const { length } = this.#byCharacter;
    for (let start = 0; start < length; ) {
      let end = start + 1;
      while (end < length && this.#byCharacter[end] === this.#byCharacter[start]) end++;
      spans.push({ start, end, ...this.at(start) });
      start = end;
    }
    return spans;
  }
}

/**
 * A text that was made from a prompt by removing parts of it. Positions in it are translated to the prompt, and painted
 * there.
 */
export class TextView {
  /** @param origins position in the prompt of each character; undefined if they are equal */
  constructor(
    readonly painter: SpanPainter,
    readonly text: string,
    private readonly origins?: readonly number[],
  ) {}

  origin(position: number): number {
    return this.origins ? this.origins[position]! : position;
  }

  /** Paints characters that may be apart in the prompt. */
  paint(start: number, end: number, style: SpanStyle): void {
    for (let from = start; from < end; ) {
      const first = this.origin(from);
      let until = from + 1;
      while (until < end && this.origin(until) === first + until - from) until++;
      this.painter.paint(first, first + until - from, style);
      from = until;
    }
  }

  /** Returns the prompt's text from the first to the last character of a range. */
  original(start: number, end: number): string {
    return start >= end ? '' : this.painter.text.slice(this.origin(start), this.origin(end - 1) + 1);
  }

  /** Returns the text without the given ranges, which are in order. */
  without(ranges: readonly { readonly start: number; readonly end: number }[]): TextView {
    if (ranges.length === 0) return this;
    const pieces: string[] = [];
    const origins: number[] = [];
    let from = 0;
    for (const { start, end } of [...ranges, { start: this.text.length, end: 0 }]) {
      pieces.push(this.text.slice(from, start));
      for (let i = from; i < start; i++) origins.push(this.origin(i));
      from = end;
    }
    return new TextView(this.painter, pieces.join(''), origins);
  }
}
