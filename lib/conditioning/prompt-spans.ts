/**
 * Syntax of a prompt by position, for highlighting and explanations. Follows the order in which a prompt is processed:
 * variants and wildcards, tags of networks, AND, editing and alternation, attention. Independent of Node.js.
 */
import { dynamicNodes, paintDynamic, withoutDynamic } from './spans/dynamic.js';
import { NameFinder } from './spans/names.js';
import { type PromptSpan, SpanPainter, TextView } from './spans/painter.js';
import { type PartSyntax, paintPart } from './spans/part.js';
import { factor, networkSentence, quoted } from './spans/sentences.js';

export type { PromptSpan, SpanKind } from './spans/painter.js';

export interface PromptSpanOptions {
  /** True for a negative prompt, which has no tags and is not split at AND. */
  readonly negative?: boolean;
  /** True if variants and wildcards are resolved first. */
  readonly dynamic?: boolean;
  /** False if brackets and BREAK are text, for the emphasis `none`. Default true. */
  readonly attention?: boolean;
  /** Names of known embeddings; uppercase and lowercase letters are equal. */
  readonly embeddings?: readonly string[];
}

/**
 * Splits a prompt into spans in time proportional to its length.
 * @returns spans in order; together they are the prompt
 */
export function promptSpans(text: string, options: PromptSpanOptions = {}): PromptSpan[] {
  const { negative = false, dynamic = false, attention = true, embeddings = [] } = options;
  const painter = new SpanPainter(text);
  const syntax: PartSyntax = { names: new NameFinder(embeddings), attention };
  const nodes = dynamic ? dynamicNodes(text) : [];
  const view = new TextView(painter, withoutDynamic(text, nodes));
  if (negative) paintPart(view, 0, view.text.length, syntax);
  else paintPrompt(withoutTags(view), syntax);
  paintDynamic(painter, nodes);
  return painter.spans();
}

/** Paints the tags of networks and returns the text without them. */
function withoutTags(view: TextView): TextView {
  // Without a closing bracket, every opening one would be searched to the end.
  const searched = view.text.slice(0, view.text.lastIndexOf('>') + 1);
  const tags = [...searched.matchAll(/<(\w+):[^>]+>/g)].map(({ 0: tag, 1: kind = '', index }) => {
    const end = index + tag.length;
    const parts = view.original(index + kind.length + 2, end - 1).split(':');
    view.paint(index, end, { kind: 'network', depth: 0, explanation: networkSentence(kind, parts) });
    return { start: index, end };
  });
  return view.without(tags);
}

const AND = /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/gu;
const AND_SENTENCE = 'Begins another prompt, whose guidance is added to that of the prompt before it.';

/** Paints the parts of a prompt that are joined by AND. */
function paintPrompt(view: TextView, syntax: PartSyntax): void {
  let start = 0;
  for (const and of [...view.text.matchAll(AND), undefined]) {
    const end = and?.index ?? view.text.length;
    const part = view.text.slice(start, end);
    const { length, weight } = weightOf(part);
    paintPart(view, start, start + length, syntax);
    if (weight !== undefined) {
      const own = quoted(view.original(start, start + length));
      const explanation = `The guidance of ${own} is multiplied by ${factor(weight)}.`;
      view.paint(start + length, start + part.trimEnd().length, {
        kind: 'and-weight',
        depth: 0,
        explanation,
      });
    }
    if (and) view.paint(end, end + and[0].length, { kind: 'and', depth: 0, explanation: AND_SENTENCE });
    start = end + (and?.[0].length ?? 0);
  }
}

/**
 * Returns the weight at the end of a part, a number after a colon, and the length of the text before it. Reads
 * backwards, which takes time proportional to the length.
 */
function weightOf(part: string): { readonly length: number; readonly weight?: number } {
  const all = { length: part.length };
  const trimmed = part.trimEnd();
  let start = trimmed.length;
  while (start > 0 && /[\d.]/.test(trimmed[start - 1]!)) start--;
  if (start > 0 && /[-+]/.test(trimmed[start - 1]!)) start--;
  const number = trimmed.slice(start);
  if (!/^[-+]?(?:\d+\.?|\d*\.\d+)$/.test(number)) return all;
  const before = trimmed.slice(0, start).trimEnd();
  if (!before.endsWith(':')) return all;
  return { length: before.slice(0, -1).trimEnd().length, weight: Number(number) };
}
