/** Marks of prompt syntax: limits, the part under a caret or pointer, and the contrast of their colors. */
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  MAX_HIGHLIGHTED,
  MAX_MARKS,
  markAtCaret,
  markAtPoint,
  marksOf,
} from '../../web/src/logic/prompt-marks.js';

describe('marksOf', () => {
  it('returns the parts that are more than text, with explanations', () => {
    expect(marksOf('a (red:1.2) x', {}).map(({ kind, explanation }) => [kind, explanation])).toEqual(
      ['emphasis', 'emphasized', 'weight', 'emphasis'].map((kind) => [
        kind,
        'Attention to “red” is multiplied by 1.2.',
      ]),
    );
    expect(marksOf('a red apple, on a table', {})).toEqual([]);
  });

  it('leaves long prompts without marks, and limits their number', () => {
    expect(marksOf(`(a)${'x'.repeat(MAX_HIGHLIGHTED - 3)}`, {})).toHaveLength(3);
    expect(marksOf(`(a)${'x'.repeat(MAX_HIGHLIGHTED - 2)}`, {})).toEqual([]);
    expect(marksOf('(a)'.repeat(MAX_MARKS), {})).toHaveLength(MAX_MARKS);
  });
});

describe('markAtCaret', () => {
  const text = 'a [b:c:5] (d) e';
  const marks = marksOf(text, {});
  const under = (position: number) => {
    const mark = marks[markAtCaret(marks, position)];
    return mark && text.slice(mark.start, mark.end);
  };

  it('returns the mark that contains the caret, and the later one between two', () => {
    expect([...Array(text.length + 1).keys()].map(under)).toEqual([
      ...[undefined, undefined, '[', 'b', ':', 'c', ':', '5', ']', ']', '(', 'd', ')', ')'],
      ...[undefined, undefined],
    ]);
    expect(markAtCaret([], 0)).toBe(-1);
  });
});

describe('markAtPoint', () => {
  /** Boxes of marks of the given lengths in lines of 10 characters of 1 × 1, with gaps of 1 between marks and lines. */
  function layout(lengths: readonly number[]) {
    let position = 0;
    return lengths.map((length) => {
      const boxes: { left: number; right: number; top: number; bottom: number }[] = [];
      for (let i = position; i < position + length; i++) {
        const [left, top] = [i % 10, 2 * Math.floor(i / 10)];
        const last = boxes.at(-1);
        if (last?.top === top) last.right = left + 1;
        else boxes.push({ left, right: left + 1, top, bottom: top + 1 });
      }
      position += length + 1;
      return boxes;
    });
  }

  it('returns the only mark with a box at the point', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 25 }), { maxLength: 20 });
    fc.assert(
      fc.property(
        lengths,
        fc.integer({ min: -1, max: 21 }),
        fc.integer({ min: -1, max: 120 }),
        (all, x, y) => {
          const [px, py] = [x / 2, y / 2];
          const marks = layout(all);
          const expected = marks.findIndex((boxes) =>
            boxes.some(
              ({ left, right, top, bottom }) => left <= px && px < right && top <= py && py < bottom,
            ),
          );
          expect(markAtPoint(marks.length, (i) => marks[i]!, px, py)).toBe(expected);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('measures few of many marks', () => {
    const marks = layout(Array(1000).fill(3));
    let measured = 0;
    const boxes = (i: number) => {
      measured++;
      return marks[i]!;
    };
    expect(markAtPoint(marks.length, boxes, 0.5, 400.5)).toBe(500);
    expect(measured).toBeLessThan(15);
  });
});

describe('the colors of marks', async () => {
  const css = await readFile(new URL('../../web/src/styles/tokens.css', import.meta.url), 'utf8');
  const tokens = new Map(
    [...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name, light, dark]) => [
      name!,
      [light!, dark!] as const,
    ]),
  );
  const marks = [...tokens.keys()].filter((name) => name.startsWith('mark-'));

  it.each(['light', 'dark'] as const)('contrast with text and background in the %s theme', (theme) => {
    const color = (name: string) => tokens.get(name)![theme === 'light' ? 0 : 1];
    expect(marks).toHaveLength(12);
    for (const mark of marks) {
      const isLine = mark.endsWith('-line');
      const ratio = contrast(color(mark), color(isLine ? 'card' : 'ink'));
      expect([mark, ratio >= (isLine ? 3 : 4.5)]).toEqual([mark, true]);
    }
  });
});

/** Returns the contrast ratio of two colors by WCAG 2. */
function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high! + 0.05) / (low! + 0.05);
}

function luminance(color: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}
