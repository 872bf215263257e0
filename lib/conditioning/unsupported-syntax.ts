/**
 * Detects constructs of A1111's prompt language that Safelight does not support and encodes as plain text: networks,
 * prompt editing, alternation and AND. Follows A1111's order: networks are removed first (`extra_networks.py`), then
 * the prompt is split at AND, then each part is parsed (`prompt_parser.py`). Parts that do not match its grammar are
 * literal text in A1111 too and are not reported.
 */

export type UnsupportedKind = 'lora' | 'lyco' | 'hypernet' | 'editing' | 'alternation' | 'AND';

export interface UnsupportedSyntax {
  readonly kind: UnsupportedKind;
  /** The construct as written in the prompt. */
  readonly text: string;
}

/**
 * Finds unsupported constructs in time proportional to the prompt's length.
 * @param options.negative true for a negative prompt, which A1111 does not split at AND
 * @returns networks first, then bracketed constructs and AND in order; nested constructs are listed individually
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
    ...bracketed.flatMap((list, i) => (i === 0 ? list : [{ kind: 'AND', text: 'AND' } as const, ...list])),
  ];
}

const AND = /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/u;
const NETWORK = /<(lora|lyco|hypernet):/gi;

/** Extracts networks such as `<lora:name:weight>` and returns the prompt without them. */
function cutNetworks(prompt: string): { networks: UnsupportedSyntax[]; rest: string } {
  const networks: UnsupportedSyntax[] = [];
  let rest = '';
  let done = 0;
  for (const match of prompt.matchAll(NETWORK)) {
    const start = match.index + match[0].length;
    if (match.index < done) continue;
    const end = prompt.indexOf('>', start);
    if (end < 0) break;
    if (end === start) continue;
    networks.push({
      kind: match[1]!.toLowerCase() as 'lora' | 'lyco' | 'hypernet',
      text: prompt.slice(match.index, end + 1),
    });
    rest += prompt.slice(done, match.index);
    done = end + 1;
  }
  return { networks, rest: rest + prompt.slice(done) };
}

/** An open bracket with the properties of its content that determine its kind. */
interface Open {
  readonly square: boolean;
  readonly start: number;
  colons: number;
  pipes: number;
  /** End of its last colon or pipe, not counting nested brackets. */
  last: number;
}

const TOKEN = /\\[^\n]|[()[\]:|\\]/g;
const NUMBER = /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*$/;

/**
 * Finds prompt editing and alternation in one part of a prompt. Unmatched brackets are literal characters; because
 * constructs must not contain these, all enclosing open brackets become literal too.
 */
function constructs(text: string): UnsupportedSyntax[] {
  const matches: { readonly construct: UnsupportedSyntax; readonly start: number }[] = [];
  let open: Open[] = [];
  /** Pipes outside of alternations, which the grammar does not allow. */
  let stray = 0;
  const makeLiteral = () => {
    for (const { pipes } of open) stray += pipes;
    open = [];
  };
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const top = open.at(-1);
    if (token === '\\') return []; // at the end of a line, which the grammar does not allow
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
        makeLiteral();
        continue;
      }
      const kind = kindOf(top, text.slice(top.last, index));
      if (kind === 'literal') {
        makeLiteral();
        continue;
      }
      open.pop();
      if (kind !== 'attention')
        matches.push({ construct: { kind, text: text.slice(top.start, index + 1) }, start: top.start });
    }
  }
  makeLiteral();
  if (stray > 0) return [];
  return matches.sort((a, b) => a.start - b.start).map(({ construct }) => construct);
}

/** Returns the kind of a closed pair of brackets. @param tail its content after the last colon or pipe */
function kindOf({ square, colons, pipes }: Open, tail: string): UnsupportedKind | 'attention' | 'literal' {
  if (!square) return colons <= 1 && pipes === 0 ? 'attention' : 'literal';
  if (colons === 0 && pipes === 0) return 'attention';
  if (colons === 0) return 'alternation';
  return pipes === 0 && colons <= 2 && NUMBER.test(tail) ? 'editing' : 'literal';
}
