/** Checks of single values, all in one shape of message. */
import { invalidOption, SafelightError } from '../errors.js';

export { knownKeys, oneOf } from '../known-keys.js';

/** A random seed of 32 bits. */
function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** A whole number in [min, max]. */
export function integer(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw invalidOption(name, `integer between ${min} and ${max}`, value);
  }
  return value;
}

/**
 * A seed: a whole number in [0, max]. -1, as in A1111, and undefined stand for a random one of 32 bits.
 * @throws INVALID_OPTION
 */
export function seed(name: string, value: unknown, max: number = Number.MAX_SAFE_INTEGER): number {
  if (value === undefined || value === -1) return randomSeed();
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max)
    throw invalidOption(name, `integer between 0 and ${max}, or -1 (random),`, value);
  return value;
}

/** A finite number in [min, max]. */
export function number(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw invalidOption(name, `number between ${min} and ${max}`, value);
  }
  return value;
}

export function boolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidOption(name, 'true or false', value);
  return value;
}

export function string(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidOption(name, 'string', value);
  return value;
}

/**
 * A text of at most so many characters.
 * @throws INVALID_OPTION
 */
export function text(name: string, value: unknown, max: number): string {
  const given = string(name, value);
  if (given.length > max)
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected at most ${max} characters for ${name} but received ${given.length}: shorten it`,
    );
  return given;
}

/** Two numbers in order. */
export function interval(name: string, value: unknown, min: number, max: number): readonly [number, number] {
  const pair: readonly unknown[] = Array.isArray(value) ? value : [];
  const [low, high] = pair;
  if (
    pair.length !== 2 ||
    !(typeof low === 'number' && typeof high === 'number' && low >= min && high <= max && low <= high)
  ) {
    throw invalidOption(name, `two numbers in order between ${min} and ${max}`, value);
  }
  return [low, high];
}

/** A multiple of `step` in [step, max]. */
export function multiple(name: string, value: unknown, step: number, max: number): number {
  if (
    typeof value !== 'number' ||
    !Number.isSafeInteger(value) ||
    value < step ||
    value > max ||
    value % step !== 0
  ) {
    throw invalidOption(name, `multiple of ${step} between ${step} and ${max}`, value);
  }
  return value;
}
