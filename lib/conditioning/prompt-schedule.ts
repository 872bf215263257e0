/**
 * A1111's prompts that change while sampling: editing `[from:to:when]`, alternation `[a|b]`, and several prompts joined by `AND`. The
 * results are prompts in attention syntax, which `parsePrompt` reads.
 *
 * Facts from A1111 `modules/prompt_parser.py` (`get_learned_conditioning_prompt_schedules`, `get_multicond_prompt_list`).
 */

/** A prompt from the evaluation after the previous entry's `until` up to and including evaluation `until`, counted from 0. */
export interface ScheduledText {
  readonly until: number;
  readonly text: string;
}

/** One of the prompts joined by `AND`. */
export interface WeightedPrompt {
  readonly text: string;
  /** Multiplies the guidance scale; default 1, may be negative. */
  readonly weight: number;
}

/** The evaluations of the network that a schedule refers to. */
export interface ScheduleSteps {
  /** Evaluations of the pass, at least 1. */
  readonly steps: number;
  /** Evaluations of the first pass, for the second pass of hires fix: step numbers and fractions continue from it. */
  readonly before?: number | undefined;
}

/**
 * Splits a prompt at the word AND. A number after a colon at the end of a part is its weight, also in a prompt without AND.
 * @returns at least one part
 */
export function splitAtAnd(prompt: string): WeightedPrompt[] {
  return prompt.split(AND).map((part) => {
    const [, text = part, weight] = WEIGHTED.exec(part) ?? [];
    return weight === undefined ? { text, weight: 1 } : { text, weight: Number(weight) };
  });
}

const AND = /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/u;
const WEIGHTED = /^(.*?)(?:\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+)))?\s*$/s;

/** Removes comments, from `#` to the end of the line. */
export function stripComments(prompt: string): string {
  return prompt.replace(/(^|\n)#[^\n]*(\n|$)/g, '\n').replace(/#[^\n]*(\n|$)/g, '\n');
}

/**
 * Resolves editing and alternation. A prompt that does not parse is taken literally.
 * @returns at least one entry; the last one's `until` is `steps`
 */
export function schedulePrompt(prompt: string, { steps, before }: ScheduleSteps): ScheduledText[] {
  const tree = parse(prompt);
  if (tree === null) return [{ until: steps, text: prompt }];
  const when = (number: string): number => {
    const value = Number(number);
    const at = number.includes('.')
      ? (value - (before === undefined ? 0 : 1)) * steps
      : value - (before ?? 0);
    return Math.min(steps, Math.trunc(at));
  };
  const ends = new Set([steps]);
  collectEnds(tree, steps, when, ends);
  return [...ends]
    .sort((a, b) => a - b)
    .map((until) => ({ until, text: textAt(tree, until, when) }))
    .filter(({ text }, i, all) => text !== all[i + 1]?.text);
}

/** The text of a schedule at an evaluation counted from 0. */
export function textOf(schedule: readonly ScheduledText[], evaluation: number): string {
  return (schedule.find(({ until }) => evaluation <= until) ?? schedule.at(-1)!).text;
}

type Node =
  | string
  | { readonly kind: 'edit'; readonly from: Tree; readonly to: Tree; readonly when: string }
  | { readonly kind: 'alternate'; readonly options: readonly Tree[] };
type Tree = readonly Node[];
type When = (number: string) => number;

function collectEnds(tree: Tree, steps: number, when: When, ends: Set<number>): void {
  for (const node of tree) {
    if (typeof node === 'string') continue;
    if (node.kind === 'alternate') {
      for (let step = 1; step <= steps; step++) ends.add(step);
      for (const option of node.options) collectEnds(option, steps, when, ends);
    } else {
      const at = when(node.when);
      if (at >= 1) ends.add(at);
      collectEnds(node.from, steps, when, ends);
      collectEnds(node.to, steps, when, ends);
    }
  }
}

/** @param step counted from 1 */
function textAt(tree: Tree, step: number, when: When): string {
  let text = '';
  for (const node of tree) {
    if (typeof node === 'string') text += node;
    else if (node.kind === 'edit') text += textAt(step <= when(node.when) ? node.from : node.to, step, when);
    else text += textAt(node.options[(step - 1) % node.options.length]!, step, when);
  }
  return text;
}

/** A bracket that is open, with what follows it so far. */
interface Open {
  readonly bracket: '' | '(' | '[';
  /** Content between the colons or pipes of this bracket. */
  readonly parts: Node[][];
  colons: number;
  pipes: number;
}

const TOKEN = /\\[^\n]|[()[\]:|\\]|[^()[\]:|\\]+/g;
const NUMBER = /^\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*$/;

/**
 * Parses a prompt, in time proportional to its length. Brackets without a partner are characters, and since the grammar allows such
 * characters only outside of all constructs, every bracket open around one is a character too.
 * @returns null for a prompt that does not parse
 */
function parse(prompt: string): Tree | null {
  const open: Open[] = [bracketOf('')];
  /** Turns every open bracket into characters; false if that leaves a pipe outside of an alternation. */
  const flatten = (): boolean => {
    while (open.length > 1) {
      const { bracket, parts, pipes } = open.pop()!;
      if (pipes > 0) return false;
      append(open.at(-1)!, bracket, ...joined(parts, ':'));
    }
    return true;
  };
  for (const [token] of prompt.matchAll(TOKEN)) {
    const top = open.at(-1)!;
    if (token === '\\') return null;
    if (token === '(' || token === '[') open.push(bracketOf(token));
    else if (token === ':' && top.bracket !== '') {
      top.colons++;
      top.parts.push([]);
    } else if (token === '|') {
      if (top.bracket === '') return null;
      top.pipes++;
      top.parts.push([]);
    } else if (token === ')' || token === ']') {
      const nodes = top.bracket === (token === ')' ? '(' : '[') ? closed(top) : undefined;
      if (nodes) {
        open.pop();
        append(open.at(-1)!, ...nodes);
      } else {
        if (!flatten()) return null;
        append(open.at(-1)!, token);
      }
    } else append(top, token);
  }
  return flatten() ? open[0]!.parts[0]! : null;
}

function bracketOf(bracket: Open['bracket']): Open {
  return { bracket, parts: [[]], colons: 0, pipes: 0 };
}

function append({ parts }: Open, ...nodes: readonly Node[]): void {
  parts.at(-1)!.push(...nodes);
}

function joined(parts: readonly (readonly Node[])[], separator: string): Node[] {
  return parts.flatMap((part, i) => (i > 0 ? [separator, ...part] : part));
}

/** The nodes of a closed pair of brackets; undefined if the grammar has no such pair. */
function closed({ bracket, parts, colons, pipes }: Open): readonly Node[] | undefined {
  if (bracket === '(') return colons <= 1 && pipes === 0 ? ['(', ...joined(parts, ':'), ')'] : undefined;
  if (colons === 0) {
    if (pipes === 0) return ['[', ...parts[0]!, ']'];
    return [{ kind: 'alternate', options: parts }];
  }
  const tail = parts.at(-1)!;
  const [, when] = NUMBER.exec(tail.every((node) => typeof node === 'string') ? tail.join('') : '') ?? [];
  if (pipes > 0 || colons > 2 || when === undefined) return undefined;
  const [from, to] = colons === 2 ? [parts[0]!, parts[1]!] : [[], parts[0]!];
  return [{ kind: 'edit', from, to, when }];
}
