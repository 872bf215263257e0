/**
 * Syntax of dynamic prompts, after the extension sd-dynamic-prompts: variants `{a|b}` and wildcards `__name__`.
 * Independent of Node.js, so that the web page highlights what the server resolves.
 *
 * - `{a|2::b}`: options with weights, default 1.
 * - `{2$$a|b|c}`, `{1-3$$ and $$a|b|c}`: several options and the text between them.
 * - `\{`, `\}` and `\__` are the characters without their meaning; other backslashes are kept for the attention syntax.
 * - A `|` within `(...)`, `[...]` or a tag such as `<lora:...>` belongs to these and does not separate options.
 * - Braces without a partner are text.
 */
import { SafelightError } from '../errors.js';

/** A piece of a dynamic prompt; positions are offsets into its text, `end` exclusive. */
export type DynamicNode = DynamicText | Variant | Wildcard;

/** Characters that are inserted as they are. */
export interface DynamicText {
  readonly kind: 'text';
  readonly start: number;
  readonly end: number;
  /** Text without the backslash of an escape. */
  readonly text: string;
}

/** Wildcard `__name__`. */
export interface Wildcard {
  readonly kind: 'wildcard';
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

/** Options in braces, from which some are drawn. */
export interface Variant {
  readonly kind: 'variant';
  readonly start: number;
  readonly end: number;
  /** Number and joiner of the options, such as `2$$`; undefined for a single option. */
  readonly amount: VariantAmount | undefined;
  /** In order, at least one. */
  readonly options: readonly VariantOption[];
}

export interface VariantAmount {
  readonly start: number;
  readonly end: number;
  readonly least: number;
  /** Infinity if the range has no upper bound. */
  readonly most: number;
  readonly joiner: string;
}

export interface VariantOption {
  /** Extent without the separators, with the weight. */
  readonly start: number;
  readonly end: number;
  /** Default 1. */
  readonly weight: number;
  /** End of the weight with its colons; equal to `start` without a weight. */
  readonly weightEnd: number;
  readonly nodes: readonly DynamicNode[];
}

/** Maximum depth of nested braces. */
export const MAX_NESTING = 100;

const ESCAPED = new Set(['\\{', '\\}', '\\__']);
/**
 * Names have 1 to 200 characters. They do not begin or end with white space and do not begin with an underscore, so
 * that lines of underscores are text.
 */
const TOKEN =
  /\\__|\\[\s\S]?|__(?=[^\s_])([^{}|<>[\]()$:;,"\\\r\n]{1,200}?)(?<!\s)__|(<)(?=\w+:)|[{}|()[\]<>_]|[^\\{}|()[\]<>_]+/g;
const AMOUNT = /\s*(?:(\d+)\s*)?(?:(-)\s*(?:(\d+)\s*)?)?\$\$(?:([^${}\r\n]{0,100})\$\$)?/y;
const WEIGHT = /^\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*::/;
/** A variable of sd-dynamic-prompts, `${name}` or `${name=value}`. */
const VARIABLE = /\{[A-Za-z_]\w{0,60}\s*(?:\?=|[=:}])/y;

/**
 * Parses a dynamic prompt in time proportional to its length.
 * @throws INVALID_OPTION for braces nested more than 100 deep, an invalid weight, or a variable, which is not supported
 */
export function parseDynamicPrompt(text: string): DynamicNode[] {
  const frames = [new Frame(0, undefined)];
  const tokens = new RegExp(TOKEN);
  for (let match = tokens.exec(text); match; match = tokens.exec(text)) {
    const { 0: token, 1: name, 2: tag, index: start } = match;
    const end = start + token.length;
    const frame = frames.at(-1)!;
    if (name !== undefined) frame.add({ kind: 'wildcard', start, end, name });
    else if (token === '{') {
      AMOUNT.lastIndex = end;
      const amount = amountOf(AMOUNT.exec(text));
      if (amount) tokens.lastIndex = amount.end;
      frames.push(new Frame(start, amount));
    } else if (token === '}' && frames.length > 1) {
      frames.pop();
      checkVariable(text, frame.start);
      frames.at(-1)!.add(frame.close(end), frame.depth + 1);
    } else if (tag !== undefined || MARKS.has(token)) frame.mark({ kind: 'text', start, end, text: token });
    else frame.add({ kind: 'text', start, end, text: ESCAPED.has(token) ? token.slice(1) : token });
  }
  // Braces that are still open are text.
  return frames.flatMap(({ start, amount, items }, i) => {
    if (i === 0) return items;
    const until = amount?.end ?? start + 1;
    return [{ kind: 'text', start, end: until, text: text.slice(start, until) } as const, ...items];
  });
}

/** Opening brackets with their partners. */
const PAIRS = new Map([
  ['(', ')'],
  ['[', ']'],
  ['<', '>'],
]);
/** Tokens that separate options or keep them together. A `<` does so only where it opens a tag. */
const MARKS: ReadonlySet<string> = new Set(['|', '(', '[', ')', ']', '>']);

/** An open brace with its content so far; the first frame is the whole text. */
class Frame {
  readonly items: DynamicNode[] = [];
  /** Depth of the braces inside. */
  depth = 0;
  /** Indices into `items` of the open brackets by their partner, and of all separators. */
  readonly #open: Partial<Record<string, number[]>> = {};
  readonly #pipes: number[] = [];
  /** 1 and -1 for the brackets of a pair, by their index into `items`. */
  readonly #changes: number[] = [];

  constructor(
    readonly start: number,
    readonly amount: VariantAmount | undefined,
  ) {}

  add(node: DynamicNode, depth = 0): void {
    this.items.push(node);
    this.depth = Math.max(this.depth, depth);
    if (this.depth > MAX_NESTING)
      throw new SafelightError(
        'INVALID_OPTION',
        `The braces of the dynamic prompt are nested more than ${MAX_NESTING} deep at character ${node.start + 1}; simplify it`,
      );
  }

  /** Adds a separator or a bracket. */
  mark(token: DynamicText): void {
    const index = this.items.push(token) - 1;
    if (token.text === '|') this.#pipes.push(index);
    const partner = PAIRS.get(token.text);
    if (partner !== undefined) {
      this.#open[partner] ??= [];
      this.#open[partner].push(index);
    } else {
      const opened = this.#open[token.text]?.pop();
      if (opened === undefined) return;
      this.#changes[opened] = 1;
      this.#changes[index] = -1;
    }
  }

  /** Returns the variant of a closed brace. */
  close(end: number): Variant {
    const { start, amount, items } = this;
    const options: VariantOption[] = [];
    let [from, position, enclosing, next] = [0, amount?.end ?? start + 1, 0, 0];
    for (let i = 0; i <= items.length; i++) {
      enclosing += this.#changes[i] ?? 0;
      const isPipe = this.#pipes[next] === i;
      if (isPipe) next++;
      if (i < items.length && !(isPipe && enclosing === 0)) continue;
      const until = items[i]?.start ?? end - 1;
      options.push(optionOf(items.slice(from, i), position, until));
      [from, position] = [i + 1, until + 1];
    }
    return { kind: 'variant', start, end, amount, options };
  }
}

function optionOf(nodes: DynamicNode[], start: number, end: number): VariantOption {
  const [first, ...rest] = nodes;
  const [prefix, number] = (first?.kind === 'text' && WEIGHT.exec(first.text)) || [];
  if (first?.kind !== 'text' || prefix === undefined)
    return { start, end, weight: 1, weightEnd: start, nodes };
  const weight = Number(number);
  if (!(weight >= 0 && weight <= MAX_WEIGHT))
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected a weight between 0 and ${MAX_WEIGHT} in a dynamic prompt, received ${prefix.trim().slice(0, 40)}`,
    );
  const weightEnd = first.start + prefix.length;
  const remaining = { ...first, start: weightEnd, text: first.text.slice(prefix.length) };
  return { start, end, weight, weightEnd, nodes: remaining.text === '' ? rest : [remaining, ...rest] };
}

const MAX_WEIGHT = 1_000_000;

function amountOf(match: RegExpExecArray | null): VariantAmount | undefined {
  if (!match) return undefined;
  const [whole, lower = '', dash = '', upper = '', joiner = ', '] = match;
  if (lower === '' && dash === '') return undefined;
  const first = lower === '' ? 1 : Number(lower);
  const last = dash === '' ? first : upper === '' ? Number.POSITIVE_INFINITY : Number(upper);
  return {
    start: match.index,
    end: match.index + whole.length,
    least: Math.min(first, last),
    most: Math.max(first, last),
    joiner,
  };
}

function checkVariable(text: string, brace: number): void {
  if (text[brace - 1] !== '$' || text[brace - 2] === '$') return;
  VARIABLE.lastIndex = brace;
  if (!VARIABLE.test(text)) return;
  const name = text.slice(brace - 1, brace + 40).split('}', 1)[0];
  throw new SafelightError(
    'INVALID_OPTION',
    `The dynamic prompt contains the variable ${JSON.stringify(`${name}}`)}, and variables are not supported; write the text itself, or \\{ for a brace`,
  );
}
