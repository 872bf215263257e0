/**
 * Ctrl+Up and Ctrl+Down in the prompt, which change the weight of the selected words in stable-diffusion-webui's
 * syntax: `(words:1.1)`.
 */

export interface Selection {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const STEP = 0.1;
const MIN = 0;
const MAX = 10;
/** Characters that end a word. */
const BREAKS = /[\s,()[\]:|]/;

/** Increases (1) or decreases (-1) the weight. @returns the selection unchanged if it contains no word */
export function changeWeight(selection: Selection, direction: 1 | -1): Selection {
  const { text, start, end } = expand(selection);
  if (start === end) return selection;
  const group = groupAround(text, start, end);
  if (group) return reweigh(text, group, direction);
  const weight = roundWeight(1 + direction * STEP);
  const words = text.slice(start, end);
  return {
    text: `${text.slice(0, start)}(${words}:${weight})${text.slice(end)}`,
    start: start + 1,
    end: end + 1,
  };
}

interface Group {
  /** Range of the words inside, without brackets and weight. */
  readonly start: number;
  readonly end: number;
  /** Position after the closing bracket. */
  readonly close: number;
  readonly weight: number;
}

function reweigh(text: string, group: Group, direction: 1 | -1): Selection {
  const weight = roundWeight(group.weight + direction * STEP);
  const words = text.slice(group.start, group.end);
  const before = text.slice(0, group.start - 1);
  const after = text.slice(group.close);
  if (weight === 1) return { text: before + words + after, start: group.start - 1, end: group.end - 1 };
  return { text: `${before}(${words}:${weight})${after}`, start: group.start, end: group.end };
}

/** Returns the group `(words:1.2)` that contains the selection, unless there are other brackets in between. */
function groupAround(text: string, start: number, end: number): Group | undefined {
  const open = text.lastIndexOf('(', start - 1);
  if (open < 0 || (open > 0 && text[open - 1] === '\\')) return undefined;
  const tail = /^([^()]*):\s*(\d*\.?\d+)\s*\)/.exec(text.slice(open + 1));
  if (!tail) return undefined;
  const group: Group = {
    start: open + 1,
    end: open + 1 + tail[1]!.length,
    close: open + 1 + tail[0].length,
    weight: Number(tail[2]),
  };
  return end <= group.end ? group : undefined;
}

/** Expands an empty selection to the word around it and trims spaces. */
function expand({ text, start, end }: Selection): Selection {
  let [from, to] = [start, end];
  if (from === to) {
    while (from > 0 && !BREAKS.test(text[from - 1]!)) from--;
    while (to < text.length && !BREAKS.test(text[to]!)) to++;
  }
  while (from < to && /\s/.test(text[from]!)) from++;
  while (to > from && /\s/.test(text[to - 1]!)) to--;
  return { text, start: from, end: to };
}

function roundWeight(weight: number): number {
  return Math.round(Math.min(MAX, Math.max(MIN, weight)) * 100) / 100;
}
