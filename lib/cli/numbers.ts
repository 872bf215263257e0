/** Strict parsers of numeric options: `12abc`, an empty text, `NaN` and `0x10` are rejected. */
import { UsageError } from './failure.js';

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Returns a parser of integers in [min, max]. */
export function integer(option: string, min: number, max = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new UsageError(
        `Expected ${option} to be an integer ${range(min, max, Number.MAX_SAFE_INTEGER)}, received '${text}'`,
      );
    }
    return value;
  };
}

/** Returns a parser of seeds; -1 is a random seed. */
export function seedNumber(option: string) {
  return (text: string): number => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= -1 && value <= Number.MAX_SAFE_INTEGER))
      throw new UsageError(
        `Expected ${option} to be an integer of at least 0, or -1 for a random seed, received '${text}'`,
      );
    return value;
  };
}

/** Returns a parser of numbers in [min, max]. */
export function decimal(option: string, min: number, max = Number.MAX_VALUE) {
  return (text: string): number => {
    const isNumber = DECIMAL.test(text) || (text === 'Infinity' && max === Number.POSITIVE_INFINITY);
    const value = isNumber ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new UsageError(
        `Expected ${option} to be a number ${range(min, max, Number.MAX_VALUE)}, received '${text}'`,
      );
    }
    return value;
  };
}

/** Returns a parser of one number, or two as `HORIZONTAL,VERTICAL`. */
export function pair(option: string, min: number, max: number) {
  const parse = decimal(option, min, max);
  return (text: string): number | [number, number] => {
    const [x = '', y, ...more] = text.split(',');
    if (more.length > 0)
      throw new UsageError(
        `Expected ${option} to be a number, or two as HORIZONTAL,VERTICAL, received '${text}'`,
      );
    return y === undefined ? parse(x) : [parse(x.trim()), parse(y.trim())];
  };
}

/** Returns a parser of numbers separated by commas; their number is checked with the option. */
export function numberList(option: string, min: number, max: number) {
  const parse = decimal(option, min, max);
  return (text: string): number[] => text.split(',').map((part) => parse(part.trim()));
}

/** Returns a parser of intervals `LOW,HIGH`. */
export function interval(option: string, min: number, max: number) {
  const parse = decimal(option, min, max);
  return (text: string): [number, number] => {
    const parts = text.split(',');
    if (parts.length !== 2)
      throw new UsageError(`Expected ${option} to be two numbers as LOW,HIGH, received '${text}'`);
    return [parse(parts[0]!.trim()), parse(parts[1]!.trim())];
  };
}

/** Returns a parser of comma-separated numbers in [min, max]. */
export function decimals(option: string, min: number, max: number) {
  const parse = decimal(option, min, max);
  return (text: string): number[] => text.split(',').map((part) => parse(part.trim()));
}

/** Returns a parser of sizes `WIDTHxHEIGHT` in pixels. */
export function dimensions(option: string) {
  return (text: string): { width: number; height: number } => {
    const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(text) ?? [];
    if (!Number(width) || !Number(height))
      throw new UsageError(
        `Expected ${option} to be a size as WIDTHxHEIGHT, such as 512x512, received '${text}'`,
      );
    return { width: Number(width), height: Number(height) };
  };
}

function range(min: number, max: number, unlimited: number): string {
  return max >= unlimited ? `of at least ${min}` : `between ${min} and ${max}`;
}
