/**
 * Sorts long runs of combining marks canonically before normalization. V8's `normalize` moves each mark past its
 * predecessors one by one, which takes seconds for 10^5 marks in the wrong order and is fast for sorted ones.
 * JavaScript does not expose combining classes; they are derived from the normalization of pairs of marks.
 */

/** Shorter runs are left to `normalize`. */
const longRun = /\p{M}{100,}/gu;

/** Returns an equivalent text under NFC and NFD, with long runs of marks decomposed and in canonical order. */
export function orderMarks(text: string): string {
  return text.replace(longRun, order);
}

function order(run: string): string {
  const decomposed = new Map([...new Set(run)].map((mark) => [mark, [...mark.normalize('NFD')]]));
  const marks = new Set([...decomposed.values()].flat());
  const classes = classesOf([...marks].filter(isCombining));
  const ordered: string[] = [];
  let pending: string[] = [];
  const flush = () => {
    pending.sort((a, b) => classes.get(a)! - classes.get(b)!);
    for (const mark of pending) ordered.push(mark);
    pending = [];
  };
  for (const char of run)
    for (const mark of decomposed.get(char)!) {
      if (classes.has(mark)) {
        pending.push(mark);
        continue;
      }
      // A mark of class 0 is not reordered, and no other mark moves past it.
      flush();
      ordered.push(mark);
    }
  flush();
  return ordered.join('');
}

/** U+0345 has the highest class, U+0334 the lowest: a mark with a class is reordered with one of them. */
function isCombining(mark: string): boolean {
  return moves('\u0345', mark) || moves(mark, '\u0334');
}

/** Assigns numbers in the order of the combining classes, equal for marks of the same class. */
function classesOf(marks: readonly string[]): Map<string, number> {
  const sorted = [...marks].sort((a, b) => (moves(a, b) ? 1 : moves(b, a) ? -1 : 0));
  const classes = new Map<string, number>();
  let current = 0;
  sorted.forEach((mark, i) => {
    if (i > 0 && moves(mark, sorted[i - 1]!)) current++;
    classes.set(mark, current);
  });
  return classes;
}

/** Returns true if normalization moves b before a. */
function moves(a: string, b: string): boolean {
  return (a + b).normalize('NFD') !== a + b;
}
