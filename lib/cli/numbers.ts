/** Numbers of options, read strictly: `12abc`, an empty text, `NaN` and `0x10` are no numbers here. */
import { UsageError } from './failure.js';

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** A parser for commander: a whole number in [min, max]. */
export function wholeNumber(option: string, min: number, max = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new UsageError(
        `${option} takes a whole number ${range(min, max, Number.MAX_SAFE_INTEGER)}, not '${text}'`,
      );
    }
    return value;
  };
}

/** A parser for commander: a seed, or -1 for a random one. */
export function seedNumber(option: string) {
  return (text: string): number => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= -1 && value <= Number.MAX_SAFE_INTEGER))
      throw new UsageError(
        `${option} takes a whole number of at least 0, or -1 for a random one, not '${text}'`,
      );
    return value;
  };
}

/** A parser for commander: a number in [min, max]. */
export function decimal(option: string, min: number, max = Number.MAX_VALUE) {
  return (text: string): number => {
    const isNumber = DECIMAL.test(text) || (text === 'Infinity' && max === Number.POSITIVE_INFINITY);
    const value = isNumber ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new UsageError(`${option} takes a number ${range(min, max, Number.MAX_VALUE)}, not '${text}'`);
    }
    return value;
  };
}

/** A parser for commander: one number, or `ACROSS,DOWN`. */
export function pair(option: string, min: number, max: number) {
  const one = decimal(option, min, max);
  return (text: string): number | [number, number] => {
    const [x = '', y, ...more] = text.split(',');
    if (more.length > 0)
      throw new UsageError(`${option} takes a number, or two as ACROSS,DOWN, not '${text}'`);
    return y === undefined ? one(x) : [one(x.trim()), one(y.trim())];
  };
}

/** A parser for commander: `LOW,HIGH`. */
export function interval(option: string, min: number, max: number) {
  const one = decimal(option, min, max);
  return (text: string): [number, number] => {
    const parts = text.split(',');
    if (parts.length !== 2) throw new UsageError(`${option} takes two numbers as LOW,HIGH, not '${text}'`);
    return [one(parts[0]!.trim()), one(parts[1]!.trim())];
  };
}

/** A parser for commander: `WIDTHxHEIGHT` in pixels. */
export function dimensions(option: string) {
  return (text: string): { width: number; height: number } => {
    const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(text) ?? [];
    if (!Number(width) || !Number(height))
      throw new UsageError(`${option} takes a size as WIDTHxHEIGHT, such as 512x512, not '${text}'`);
    return { width: Number(width), height: Number(height) };
  };
}

function range(min: number, max: number, unlimited: number): string {
  return max >= unlimited ? `of at least ${min}` : `between ${min} and ${max}`;
}
