/** Highlighting of a prompt: which parts are marked, and which part a caret or pointer refers to. */
import {
  type PromptSpan,
  type PromptSpanOptions,
  promptSpans,
} from '../../../lib/conditioning/prompt-spans.js';

/** Longer prompts are not highlighted, so that typing stays fluent. */
export const MAX_HIGHLIGHTED = 20_000;
/** Maximum number of marks; the text after them has none. */
export const MAX_MARKS = 2000;

/** A part of a prompt that is more than ordinary text. */
export interface PromptMark extends PromptSpan {
  readonly explanation: string;
}

/** Returns the marks of a prompt in order. */
export function marksOf(text: string, options: PromptSpanOptions): PromptMark[] {
  if (text.length > MAX_HIGHLIGHTED) return [];
  return promptSpans(text, options)
    .filter((span): span is PromptMark => span.explanation !== undefined)
    .slice(0, MAX_MARKS);
}

/**
 * Returns the index of the mark at a caret, or -1. Between two marks it is the one after the caret.
 * @param position number of characters before the caret
 */
export function markAtCaret(marks: readonly PromptMark[], position: number): number {
  const index = firstWhere(marks.length, (i) => marks[i]!.end >= position);
  const mark = marks[index];
  if (!mark || mark.start > position) return -1;
  return mark.end === position && marks[index + 1]?.start === position ? index + 1 : index;
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/**
 * Returns the index of the mark at a point, or -1. Searches by bisection, since marks follow each other in lines.
 * @param boxesOf returns the boxes of a mark, one per line
 */
export function markAtPoint(
  count: number,
  boxesOf: (index: number) => ArrayLike<Box>,
  x: number,
  y: number,
): number {
  const isAfter = (index: number): boolean => {
    const boxes = boxesOf(index);
    const last = boxes[boxes.length - 1];
    return last !== undefined && (last.bottom > y ? last.top > y || last.right > x : false);
  };
  const index = firstWhere(count, isAfter);
  if (index === count) return -1;
  const contains = ({ left, right, top, bottom }: Box) => left <= x && x < right && top <= y && y < bottom;
  return Array.from(boxesOf(index)).some(contains) ? index : -1;
}

/** Returns the first index for which a condition is true, where it is false before and true after; or `count`. */
function firstWhere(count: number, condition: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (condition(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
