/** Checks of single option values. Each returns the value or throws INVALID_OPTION with the option's name. */
import { invalidOption, SafelightError } from '../errors.js';

export { knownKeys, oneOf } from '../known-keys.js';

/** Returns a random 32-bit seed. */
function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** Checks an integer in [min, max]. */
export function integer(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw invalidOption(name, `an integer between ${min} and ${max}`, value);
  }
  return value;
}

/**
 * Checks a seed, an integer in [0, max]. -1 (as in A1111) and undefined are replaced by a random 32-bit seed.
 * @throws INVALID_OPTION
 */
export function seed(name: string, value: unknown, max: number = Number.MAX_SAFE_INTEGER): number {
  if (value === undefined || value === -1) return randomSeed();
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max)
    throw invalidOption(name, `an integer between 0 and ${max} or -1 (random)`, value);
  return value;
}

/** Checks a number in [min, max]. */
export function number(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw invalidOption(name, `a number between ${min} and ${max}`, value);
  }
  return value;
}

export function boolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidOption(name, 'true or false', value);
  return value;
}

export function string(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidOption(name, 'a string', value);
  return value;
}

/**
 * Checks a string of at most `max` UTF-16 code units.
 * @throws INVALID_OPTION
 */
export function text(name: string, value: unknown, max: number): string {
  const checked = string(name, value);
  if (checked.length > max)
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected at most ${max} characters for ${name}, received ${checked.length}.`,
    );
  return checked;
}

/** Checks a pair of ascending numbers in [min, max]. */
export function interval(name: string, value: unknown, min: number, max: number): readonly [number, number] {
  const pair: readonly unknown[] = Array.isArray(value) ? value : [];
  const [low, high] = pair;
  if (
    pair.length !== 2 ||
    !(typeof low === 'number' && typeof high === 'number' && low >= min && high <= max && low <= high)
  ) {
    throw invalidOption(name, `two ascending numbers between ${min} and ${max}`, value);
  }
  return [low, high];
}

/** Checks as many numbers in [min, max] as there are names. Returns a copy. */
export function numbers(
  name: string,
  value: unknown,
  names: readonly string[],
  min: number,
  max: number,
): readonly number[] {
  const values: readonly unknown[] = Array.isArray(value) ? [...value] : [];
  const isValid = (item: unknown): item is number => typeof item === 'number' && item >= min && item <= max;
  if (values.length === names.length && values.every(isValid)) return values;
  throw invalidOption(
    name,
    `${names.length} numbers between ${min} and ${max} (${names.join(', ')})`,
    Array.isArray(value) ? `[${String(value).slice(0, 100)}]` : value,
  );
}

/** Checks 1 to `maxPositive` descending numbers in [min, max], optionally followed by 0. Returns a copy. */
export function descending(
  name: string,
  value: unknown,
  min: number,
  max: number,
  maxPositive: number,
): readonly number[] {
  const values: readonly unknown[] = Array.isArray(value) ? [...value] : [];
  const isValid = (item: unknown, i: number): item is number => {
    if (typeof item !== 'number' || !(item <= max)) return false;
    if (i > 0 && !(item < Number(values[i - 1]))) return false;
    return item >= min || (item === 0 && i > 0 && i === values.length - 1);
  };
  if (values.length === 0 || !values.every(isValid))
    throw invalidOption(
      name,
      `descending numbers between ${min} and ${max}, optionally followed by 0,`,
      Array.isArray(value) ? `[${String(value).slice(0, 100)}]` : value,
    );
  const positive = values.filter((item) => item > 0).length;
  if (positive > maxPositive) throw invalidOption(name, `at most ${maxPositive} numbers above 0`, positive);
  return values;
}

/** Checks a multiple of `step` in [step, max]. */
export function multiple(name: string, value: unknown, step: number, max: number): number {
  if (
    typeof value !== 'number' ||
    !Number.isSafeInteger(value) ||
    value < step ||
    value > max ||
    value % step !== 0
  ) {
    throw invalidOption(name, `a multiple of ${step} between ${step} and ${max}`, value);
  }
  return value;
}
