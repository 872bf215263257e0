/**
 * Constructs of A1111's prompt language that Safelight does not support and encodes as plain words: networks, prompt editing, alternation
 * and AND. Read as A1111 reads them: networks are cut out first (`extra_networks.py`), then the prompt is divided at AND, then each part
 * is parsed (`prompt_parser.py`). A part that its grammar refuses is taken literally there too, so nothing of it is reported.
 */

export type UnsupportedKind = 'lora' | 'lyco' | 'hypernet' | 'editing' | 'alternation' | 'AND';

export interface UnsupportedSyntax {
  readonly kind: UnsupportedKind;
  /** As it is written in the prompt. */
  readonly text: string;
}

/**
 * Finds them in time proportional to the prompt's length.
 * @param options.negative a negative prompt: A1111 divides only positive ones at AND
 * @returns networks, then what is between brackets and AND in their order; nested constructs each
 */
export function unsupportedSyntax(
  prompt: string,
  { negative = false }: { readonly negative?: boolean } = {},
): UnsupportedSyntax[] {
  const { networks, rest } = cutNetworks(prompt);
  const parts = negative ? [rest] : rest.split(AND);
  const bracketed = parts.map((part) => constructs(part));
  return [
    ...networks,
    ...bracketed.flatMap((found, i) => (i === 0 ? found : [{ kind: 'AND', text: 'AND' } as const, ...found])),
  ];
}

const AND = /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/u;
const NETWORK = /<(lora|lyco|hypernet):/gi;

/** `<lora:name:weight>` and its kin, and the prompt without them. */
function cutNetworks(prompt: string): { networks: UnsupportedSyntax[]; rest: string } {
  const networks: UnsupportedSyntax[] = [];
  let rest = '';
  let done = 0;
  for (const match of prompt.matchAll(NETWORK)) {
    const inside = match.index + match[0].length;
    if (match.index < done) continue;
    const end = prompt.indexOf('>', inside);
    if (end < 0) break;
    if (end === inside) continue;
    networks.push({
      kind: match[1]!.toLowerCase() as 'lora' | 'lyco' | 'hypernet',
      text: prompt.slice(match.index, end + 1),
    });
    rest += prompt.slice(done, match.index);
    done = end + 1;
  }
  return { networks, rest: rest + prompt.slice(done) };
}

/** A bracket that is open, and what of its inside decides what it is. */
interface Open {
  readonly square: boolean;
  readonly start: number;
  colons: number;
  pipes: number;
  /** Where the last colon or pipe of its own ends. */
  last: number;
}

const TOKEN = /\\[^\n]|[()[\]:|\\]/g;
const NUMBER = /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*$/;

/**
 * Prompt editing and alternation of one part of a prompt. Brackets that do not match are characters, and since no construct may hold such a
 * character, every bracket open around one is a character too.
 */
function constructs(text: string): UnsupportedSyntax[] {
  const found: { readonly construct: UnsupportedSyntax; readonly start: number }[] = [];
  let open: Open[] = [];
  /** Pipes outside of alternations, which the grammar does not have. */
  let stray = 0;
  const forget = () => {
    for (const { pipes } of open) stray += pipes;
    open = [];
  };
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const top = open.at(-1);
    if (token === '\\') return []; // at the end of a line: the grammar has no such thing
    if (token === '(' || token === '[')
      open.push({ square: token === '[', start: index, colons: 0, pipes: 0, last: 0 });
    else if (token === ':' || token === '|') {
      if (!top) stray += token === '|' ? 1 : 0;
      else {
        if (token === ':') top.colons++;
        else top.pipes++;
        top.last = index + 1;
      }
    } else if (token === ')' || token === ']') {
      if (!top || top.square !== (token === ']')) {
        forget();
        continue;
      }
      const kind = kindOf(top, text.slice(top.last, index));
      if (kind === 'literal') {
        forget();
        continue;
      }
      open.pop();
      if (kind !== 'attention')
        found.push({ construct: { kind, text: text.slice(top.start, index + 1) }, start: top.start });
    }
  }
  forget();
  if (stray > 0) return [];
  return found.sort((a, b) => a.start - b.start).map(({ construct }) => construct);
}

/** What a closed pair of brackets is. @param tail its inside after the last colon or pipe */
function kindOf({ square, colons, pipes }: Open, tail: string): UnsupportedKind | 'attention' | 'literal' {
  if (!square) return colons <= 1 && pipes === 0 ? 'attention' : 'literal';
  if (colons === 0 && pipes === 0) return 'attention';
  if (colons === 0) return 'alternation';
  return pipes === 0 && colons <= 2 && NUMBER.test(tail) ? 'editing' : 'literal';
}
