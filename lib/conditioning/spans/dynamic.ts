/** Spans of variants and wildcards. */
import { SafelightError } from '../../errors.js';
import { type DynamicNode, parseDynamicPrompt, type Variant } from '../dynamic-syntax.js';
import type { SpanPainter, SpanStyle } from './painter.js';
import { factor, quoted, variantSentence } from './sentences.js';

/** Character that stands for syntax of dynamic prompts; it has no meaning in other syntax. */
const MASK = '\uE000';

/** Parses a dynamic prompt; one that is malformed has no nodes. */
export function dynamicNodes(text: string): readonly DynamicNode[] {
  try {
    return parseDynamicPrompt(text);
  } catch (error) {
    if (error instanceof SafelightError) return [];
    throw error;
  }
}

interface Mark extends SpanStyle {
  readonly start: number;
  readonly end: number;
}

/** Replaces the syntax of variants and wildcards by characters without meaning, so that the rest can be parsed. */
export function withoutDynamic(text: string, nodes: readonly DynamicNode[]): string {
  const pieces: string[] = [];
  let from = 0;
  for (const { start, end } of marksOf(text, nodes).filter(({ kind }) => kind !== 'choice')) {
    pieces.push(text.slice(from, start), MASK.repeat(end - start));
    from = end;
  }
  return pieces.join('') + text.slice(from);
}

/** Paints variants and wildcards. Text of an option that has another meaning too keeps that. */
export function paintDynamic(painter: SpanPainter, nodes: readonly DynamicNode[]): void {
  for (const { start, end, ...style } of marksOf(painter.text, nodes)) {
    if (style.kind !== 'choice') painter.paint(start, end, style);
    else {
      for (let i = start; i < end; ) {
        let until = i;
        while (until < end && painter.at(until).kind === 'text') until++;
        if (until > i) painter.paint(i, until, style);
        i = until + 1;
      }
    }
  }
}

/** Returns the marks of all nodes in the order of the text, without overlaps. */
function marksOf(text: string, nodes: readonly DynamicNode[]): Mark[] {
  const marks: Mark[] = [];
  addMarks(text, nodes, undefined, 0, marks);
  return marks;
}

/** @param explanation of the option that contains the nodes */
function addMarks(
  text: string,
  nodes: readonly DynamicNode[],
  explanation: string | undefined,
  depth: number,
  marks: Mark[],
): void {
  for (const node of nodes) {
    const { start, end } = node;
    if (node.kind === 'variant') addVariant(text, node, depth, marks);
    else if (node.kind === 'wildcard') {
      const wildcards = /[*?]/.test(node.name) ? 'a wildcard that matches' : 'the wildcard';
      marks.push({
        ...{ start, end, depth, kind: 'wildcard' },
        explanation: `Inserts a random entry of ${wildcards} ${quoted(node.name)}.`,
      });
    } else if (node.text.length < end - start)
      marks.push({ start, end, depth, kind: 'escape', explanation: `A literal ${quoted(node.text)}.` });
    else if (explanation !== undefined) marks.push({ start, end, depth, kind: 'choice', explanation });
  }
}

function addVariant(
  text: string,
  { start, end, amount, options }: Variant,
  depth: number,
  marks: Mark[],
): void {
  const texts = options.map((option) => text.slice(option.weightEnd, option.end));
  const explanation = variantSentence(texts, amount);
  const style = { kind: 'variant', depth, explanation } as const;
  const total = options.reduce((sum, { weight }) => sum + weight, 0);
  marks.push({ ...style, start, end: options[0]!.start });
  for (const [i, option] of options.entries()) {
    const own = quoted(texts[i]!);
    if (option.weightEnd > option.start) {
      const share = total > 0 ? factor((100 * option.weight) / total) : '0';
      const weight = `The weight of ${own} is ${factor(option.weight)}`;
      marks.push({
        ...{ ...style, start: option.start, end: option.weightEnd },
        explanation: amount ? `${weight}.` : `${weight}: it is inserted with a chance of ${share}%.`,
      });
    }
    addMarks(text, option.nodes, explanation, depth + 1, marks);
    marks.push({ ...style, start: option.end, end: i < options.length - 1 ? option.end + 1 : end });
  }
}
