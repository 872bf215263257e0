/**
 * Positions of editing `[from:to:when]` and alternation `[a|b]`, by the grammar of `prompt-schedule.ts`, and the
 * levels of text inside and outside of them.
 */

export interface Construct {
  readonly kind: 'editing' | 'alternation';
  /** Positions of the opening bracket, of the colons or pipes at its own level, and of the closing bracket. */
  readonly start: number;
  readonly separators: readonly number[];
  readonly close: number;
}

interface Open {
  readonly square: boolean;
  readonly start: number;
  readonly separators: number[];
  colons: number;
}

const TOKEN = /\\[^\n]|[()[\]:|\\]/g;
const NUMBER = /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*$/;

/**
 * Finds all constructs in time proportional to the length of the text. Brackets without a partner are text, and so are
 * all brackets that are open around one.
 * @returns constructs in the order of their opening brackets, or the position of the character because of which the
 *   text does not parse and has none
 */
export function findConstructs(text: string): Construct[] | { readonly obstacle: number } {
  const found: Construct[] = [];
  let open: Open[] = [];
  /** First separator of an open bracket that turned out to be text. */
  const strayPipe = () => open.find(({ separators, colons }) => separators.length > colons);
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const top = open.at(-1);
    if (token === '\\') return { obstacle: index };
    if (token === '(' || token === '[')
      open.push({ square: token === '[', start: index, separators: [], colons: 0 });
    else if (token === ':' && top) {
      top.colons++;
      top.separators.push(index);
    } else if (token === '|') {
      if (!top) return { obstacle: index };
      top.separators.push(index);
    } else if (token === ')' || token === ']') {
      const kind = top && top.square === (token === ']') ? kindOf(top, text, index) : 'none';
      if (kind === 'none') {
        const stray = strayPipe();
        if (stray) return { obstacle: pipeOf(stray, text) };
        open = [];
        continue;
      }
      const { start, separators } = open.pop()!;
      if (kind !== 'attention') found.push({ kind, start, separators, close: index });
    }
  }
  const stray = strayPipe();
  return stray ? { obstacle: pipeOf(stray, text) } : found.sort((a, b) => a.start - b.start);
}

function pipeOf({ separators }: Open, text: string): number {
  return separators.find((position) => text[position] === '|')!;
}

function kindOf({ square, separators, colons }: Open, text: string, close: number) {
  const pipes = separators.length - colons;
  if (!square) return colons <= 1 && pipes === 0 ? 'attention' : 'none';
  if (colons === 0) return pipes === 0 ? 'attention' : 'alternation';
  const tail = text.slice(separators.at(-1)! + 1, close);
  return pipes === 0 && colons <= 2 && NUMBER.test(tail) ? 'editing' : 'none';
}

/** Text outside of all constructs, or an option of one, without the constructs inside. */
export interface Level {
  /** Construct and number of the option; undefined outside. */
  readonly owner: { readonly construct: Construct; readonly option: number } | undefined;
  /** Positions of its characters; a construct is one character, its opening bracket. */
  readonly positions: number[];
  /** Constructs by their index into `positions`. */
  readonly holes: Map<number, Construct>;
}

/** Splits a text into levels; outer ones precede inner ones. The number of an editing is in none. */
export function levelsOf(length: number, constructs: readonly Construct[]): Level[] {
  const outermost: Level = { owner: undefined, positions: [], holes: new Map() };
  const levels = [outermost];
  const stack: { readonly level: Level; readonly construct?: Construct }[] = [{ level: outermost }];
  let next = 0;
  for (let i = 0; i < length; i++) {
    const { level, construct } = stack.at(-1)!;
    const opened = constructs[next];
    if (opened?.start === i) {
      level.holes.set(level.positions.push(i) - 1, opened);
      next++;
      stack.push({ level: optionLevel(levels, opened, 0), construct: opened });
    } else if (construct?.close === i) stack.pop();
    else if (construct && construct.separators[level.owner?.option ?? 0] === i) {
      stack.pop();
      stack.push({ level: optionLevel(levels, construct, level.owner!.option + 1), construct });
    } else level.positions.push(i);
  }
  return levels;
}

function optionLevel(levels: Level[], construct: Construct, option: number): Level {
  const level: Level = { owner: { construct, option }, positions: [], holes: new Map() };
  // The last part of an editing is its number.
  if (construct.kind === 'alternation' || option < construct.separators.length) levels.push(level);
  return level;
}
