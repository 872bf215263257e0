/** Values of a grid's axis as text: A1111's comma-separated lists and ranges. */
import { invalidOption } from '../../errors.js';

/** Most values of an axis. */
export const MAX_VALUES = 1000;

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const PART = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)`;
/** `1-5`, `1-5 (+2)`, `1-5 [3]`. */
const RANGE = new RegExp(
  String.raw`^(${PART})\s*-\s*(${PART})\s*(?:\(\s*(${PART})\s*\)|\[\s*(\d{1,6})\s*\])?$`,
);

/**
 * Splits a list at its commas and trims the values. A value in double quotes may contain commas; `""` is a quote in it.
 * @param axis name of the axis, for messages
 * @throws INVALID_OPTION
 */
export function splitValues(axis: string, text: string): string[] {
  const values: string[] = [];
  let rest = text;
  for (;;) {
    const quoted = /^\s*"((?:[^"]|"")*)"\s*(,|$)/.exec(rest);
    const [whole, value = '', end] = quoted ?? /^([^,]*)(,|$)/.exec(rest)!;
    if (!quoted && value.trimStart().startsWith('"'))
      throw invalidOption(axis, 'a value with a closing quote, followed by a comma or nothing', text);
    values.push(quoted ? value.replaceAll('""', '"') : value.trim());
    if (values.length > MAX_VALUES) throw invalidOption(axis, `at most ${MAX_VALUES} values`, text);
    if (end !== ',') return values;
    rest = rest.slice(whole.length);
  }
}

/** Joins values to a list that `splitValues` splits into the same values. */
export function joinValues(values: readonly string[]): string {
  return values
    .map((value) => (/^\s|\s$|[,"]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value))
    .join(',');
}

/**
 * Returns the numbers of a value: itself, or those of a range.
 * @param integers true if the option takes integers
 * @throws INVALID_OPTION
 */
export function numbersOf(axis: string, value: string, integers: boolean): number[] {
  if (value === 'Infinity') return [Number.POSITIVE_INFINITY];
  if (NUMBER.test(value)) return [Number(value)];
  const [, from, to, step, count] = RANGE.exec(value) ?? [];
  const kind = integers ? 'integers' : 'numbers';
  if (from === undefined || to === undefined)
    throw invalidOption(axis, `${kind}, or a range such as 1-5, 1-5 (+2) or 1-5 [3]`, value);
  const [first, last] = [Number(from), Number(to)];
  if (integers && ![first, last, Number(step ?? 0)].every(Number.isInteger))
    throw invalidOption(axis, 'integers in a range', value);
  return count === undefined
    ? stepped(axis, value, first, last, Number(step ?? (last < first ? -1 : 1)))
    : spaced(axis, value, first, last, Number(count), integers);
}

/** Numbers from `first` to at most `last`. */
function stepped(axis: string, value: string, first: number, last: number, step: number): number[] {
  // A tolerance, because steps such as 0.1 are not exact.
  const count = Math.floor((last - first) / step + 1e-9) + 1;
  if (!(count >= 1)) throw invalidOption(axis, 'a step that leads from the first to the last number', value);
  checkCount(axis, value, count);
  return Array.from({ length: count }, (_, i) => rounded(first + i * step));
}

/** `count` numbers at equal distances, as by NumPy's linspace; integers are rounded towards zero. */
function spaced(
  axis: string,
  value: string,
  first: number,
  last: number,
  count: number,
  integers: boolean,
): number[] {
  if (count < 1) throw invalidOption(axis, 'a range of at least one number', value);
  checkCount(axis, value, count);
  return Array.from({ length: count }, (_, i) => {
    const exact = count === 1 ? first : rounded(first + ((last - first) * i) / (count - 1));
    return integers ? Math.trunc(exact) : exact;
  });
}

function checkCount(axis: string, value: string, count: number): void {
  if (count > MAX_VALUES) throw invalidOption(axis, `at most ${MAX_VALUES} values`, value);
}

/** Removes the rounding errors of a sum: 0.30000000000000004 becomes 0.3. */
function rounded(value: number): number {
  return Number(value.toPrecision(12));
}
