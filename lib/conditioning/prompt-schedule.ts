/**
 * A1111's prompts that change while sampling: editing `[from:to:when]`, alternation `[a|b]`, and several prompts joined
 * by `AND`. The results are prompts in attention syntax, which `parsePrompt` reads.
 *
 * Reference: A1111 `modules/prompt_parser.py` (`get_learned_conditioning_prompt_schedules`,
 * `get_multicond_prompt_list`).
 */
import { type Construct, findConstructs } from './spans/constructs.js';

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
    const text = part.trimEnd();
    const colon = text.lastIndexOf(':');
    const number = colon < 0 ? '' : text.slice(colon + 1).trimStart();
    if (!WEIGHT.test(number)) return { text, weight: 1 };
    return { text: text.slice(0, colon).trimEnd(), weight: Number(number) };
  });
}

const AND = /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/u;
const WEIGHT = /^[-+]?(?:\d+\.?|\d*\.\d+)$/;

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
  readonly kind: 'editing';
  readonly from: Tree;
  readonly to: Tree;
  readonly when: string;
}
interface Alternation {
  readonly kind: 'alternation';
  readonly options: readonly Tree[];
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
    else if (node.kind === 'editing')
      text += textAt(step <= when(node.when) ? node.from : node.to, step, when);
    else text += textAt(node.options[(step - 1) % node.options.length]!, step, when);
  }
  return text;
}

/** Returns null for a prompt that does not parse. */
function parse(prompt: string): Tree | null {
  const constructs = findConstructs(prompt);
  return Array.isArray(constructs) && depthOf(constructs) <= MAX_DEPTH ? treeOf(prompt, constructs) : null;
}

/** Returns the number of constructs around the innermost text. */
function depthOf(constructs: readonly Construct[]): number {
  const closes: number[] = [];
  let depth = 0;
  for (const { start, close } of constructs) {
    while (closes.length > 0 && closes.at(-1)! < start) closes.pop();
    closes.push(close);
    depth = Math.max(depth, closes.length);
  }
  return depth;
}

/** @param constructs in the order of their opening brackets */
function treeOf(prompt: string, constructs: readonly Construct[]): Tree {
  let next = 0;
  const nodesOf = (start: number, end: number): Tree => {
    const nodes: Node[] = [];
    let done = start;
    for (let inner = constructs[next]; inner && inner.start < end; inner = constructs[next]) {
      next++;
      nodes.push(prompt.slice(done, inner.start));
      const bounds = [inner.start, ...inner.separators, inner.close];
      const parts = bounds.slice(1).map((bound, i) => nodesOf(bounds[i]! + 1, bound));
      nodes.push(nodeOf(inner.kind, parts));
      done = inner.close + 1;
    }
    nodes.push(prompt.slice(done, end));
    return nodes;
  };
  return nodesOf(0, prompt.length);
}

function nodeOf(kind: Construct['kind'], parts: readonly Tree[]): Node {
  if (kind === 'alternation') return { kind, options: parts };
  const when = parts.at(-1)!.join('').trim();
  const [from, to] = parts.length === 3 ? [parts[0]!, parts[1]!] : [[], parts[0]!];
  return { kind, from, to, when };
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
