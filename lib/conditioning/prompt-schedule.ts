/**
 * A1111's prompts that change while sampling: editing `[from:to:when]`, alternation `[a|b]`, and several prompts joined
 * by `AND`. The results are prompts in attention syntax, which `parsePrompt` reads.
 *
 * Reference: A1111 `modules/prompt_parser.py` (`get_learned_conditioning_prompt_schedules`,
 * `get_multicond_prompt_list`).
 */

/** Text that applies from the evaluation after the previous entry's `until` up to evaluation `until`, from 0. */
export interface ScheduledText {
  readonly until: number;
  readonly text: string;
}

/** A prompt of several that are joined by `AND`. */
export interface WeightedPrompt {
  readonly text: string;
  /** Factor of the guidance scale; default 1, may be negative. */
  readonly weight: number;
}

/**
 * Evaluations of the network that the steps in prompts refer to: the number of steps, or twice that number for
 * samplers that evaluate the network twice per step.
 */
export interface Evaluations {
  /** Number of the pass, at least 1. */
  readonly steps: number;
  /** Number of the first pass, for the second pass of hires fix: steps and fractions continue from it. */
  readonly before?: number | undefined;
}

/**
 * Splits a prompt at the word AND. A number after a colon at the end of a part is its weight, also in a prompt without
 * AND.
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

/**
 * Resolves editing and alternation. A prompt that does not parse is taken literally.
 * @returns at least one entry; the last one's `until` is `steps`
 */
export function schedulePrompt(prompt: string, { steps, before }: Evaluations): ScheduledText[] {
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

/** Returns the text of a schedule at an evaluation, counted from 0. */
export function textAtEvaluation(schedule: readonly ScheduledText[], evaluation: number): string {
  return (schedule.find(({ until }) => evaluation <= until) ?? schedule.at(-1)!).text;
}

type Node = string | Edit | Alternation;
interface Edit {
  readonly kind: 'edit';
  readonly from: Tree;
  readonly to: Tree;
  readonly when: string;
  readonly depth: number;
}
interface Alternation {
  readonly kind: 'alternation';
  readonly options: readonly Tree[];
  readonly depth: number;
}
type Tree = readonly Node[];
type When = (number: string) => number;

/** Depth of nested constructs above which a prompt is taken literally. */
const MAX_DEPTH = 500;

function collectEnds(tree: Tree, steps: number, when: When, ends: Set<number>): void {
  // Once an alternation has added every step, the rest of the tree can add nothing.
  if (ends.size >= steps) return;
  for (const node of tree) {
    if (typeof node === 'string') continue;
    if (node.kind === 'alternation') {
      for (let step = 1; step <= steps; step++) ends.add(step);
      return;
    }
    const at = when(node.when);
    if (at >= 1) ends.add(at);
    collectEnds(node.from, steps, when, ends);
    collectEnds(node.to, steps, when, ends);
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

/** An open bracket, with positions in the list of nodes. */
interface Open {
  readonly bracket: '(' | '[';
  readonly start: number;
  /** Positions of its colons and pipes. */
  readonly separators: number[];
  colons: number;
  pipes: number;
}

const TOKEN = /\\[^\n]|[()[\]:|\\]|[^()[\]:|\\]+/g;
const NUMBER = /^\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*$/;

/**
 * Parses a prompt in time proportional to its length. Brackets and separators are text until a closing bracket shows
 * that they form a construct. Unmatched brackets remain text, and since the grammar allows such text only outside of
 * constructs, all brackets that are open around it do, too.
 * @returns null for a prompt that does not parse
 */
function parse(prompt: string): Tree | null {
  const nodes: Node[] = [];
  let open: Open[] = [];
  for (const [token] of prompt.matchAll(TOKEN)) {
    const top = open.at(-1);
    if (token === '\\') return null;
    if (token === '|' && !top) return null;
    if (token === '(' || token === '[')
      open.push({ bracket: token, start: nodes.length, separators: [], colons: 0, pipes: 0 });
    else if (top && (token === ':' || token === '|')) {
      top.separators.push(nodes.length);
      if (token === ':') top.colons++;
      else top.pipes++;
    } else if (token === ')' || token === ']') {
      const kind = top && kindOf(top, token, nodes);
      if (kind === undefined) {
        // A pipe is allowed in an alternation only.
        if (open.some(({ pipes }) => pipes > 0)) return null;
        open = [];
      } else {
        open.pop();
        if (kind !== 'attention') {
          const construct = constructOf(kind, partsOf(top!, nodes));
          if (construct.depth > MAX_DEPTH) return null;
          nodes.length = top!.start;
          nodes.push(construct);
          continue;
        }
      }
    }
    nodes.push(token);
  }
  return open.some(({ pipes }) => pipes > 0) ? null : nodes;
}

/** Returns the kind of a pair of brackets; undefined if the grammar has no such pair. */
function kindOf(open: Open, close: string, nodes: Tree): 'attention' | 'alternation' | 'edit' | undefined {
  const { bracket, colons, pipes, separators } = open;
  if (bracket !== (close === ')' ? '(' : '[')) return undefined;
  if (bracket === '(') return colons <= 1 && pipes === 0 ? 'attention' : undefined;
  if (colons === 0) return pipes === 0 ? 'attention' : 'alternation';
  const tail = nodes.slice(separators.at(-1)! + 1);
  const isNumber = tail.every((node) => typeof node === 'string') && NUMBER.test(tail.join(''));
  return pipes === 0 && colons <= 2 && isNumber ? 'edit' : undefined;
}

/** Returns the nodes between a bracket's separators. */
function partsOf({ start, separators }: Open, nodes: Tree): Tree[] {
  const bounds = [start, ...separators, nodes.length];
  return bounds.slice(1).map((end, i) => nodes.slice(bounds[i]! + 1, end));
}

function constructOf(kind: 'alternation' | 'edit', parts: readonly Tree[]): Edit | Alternation {
  let depth = 0;
  for (const part of parts)
    for (const node of part) if (typeof node !== 'string') depth = Math.max(depth, node.depth);
  depth++;
  if (kind === 'alternation') return { kind, options: parts, depth };
  const [first = [], second = [], third] = parts;
  const when = NUMBER.exec((third ?? second).join(''))![1]!;
  return third ? { kind, from: first, to: second, when, depth } : { kind, from: [], to: first, when, depth };
}

/** Returns the distinct texts that a prompt has in the course of a pass. A negative prompt is not split at AND. */
export function promptTexts(
  prompt: string,
  evaluations: Evaluations,
  { negative = false }: { readonly negative?: boolean } = {},
): string[] {
  const parts = negative ? [prompt] : splitAtAnd(prompt).map(({ text }) => text);
  return [...new Set(parts.flatMap((part) => schedulePrompt(part, evaluations).map(({ text }) => text)))];
}
