/** Checks of options that pipelines, models and tensors share. A misspelt option would be ignored in silence, so unknown names are refused. */
import { invalidOption, SafelightError } from './errors.js';
import { didYouMean, suggestOption, suggestValue } from './suggest.js';

/**
 * Refuses what is no object, and names that mean nothing. `undefined` values count as left out.
 * @param what the object is called in messages: `options`, or the option that it is the value of
 * @throws INVALID_OPTION, with the option that was probably meant
 */
export function knownKeys(what: string, options: unknown, keys: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw invalidOption(what, 'an object', options);
  for (const key of Object.keys(options)) {
    if (!keys.has(key)) throw unknownOption(what, key, keys);
  }
}

export function unknownOption(what: string, key: string, keys: Iterable<string>): SafelightError {
  const name = JSON.stringify(key.slice(0, 60));
  const where = what === 'options' ? '' : ` of ${what}`;
  const hint = didYouMean(suggestOption(key, keys));
  return new SafelightError(
    'INVALID_OPTION',
    `Unknown option ${name}${where}: ${hint ? `${hint} Accepted` : 'accepted'} are ${[...keys].join(', ')}`,
  );
}

/** @throws INVALID_OPTION with the value that was probably meant */
export function oneOf<T extends string>(name: string, value: unknown, names: readonly T[]): T {
  const found = names.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw invalidOption(name, `one of ${names.join(', ')}`, value, didYouMean(suggestValue(value, names)));
}

/** @throws INVALID_OPTION */
export function checkSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  const hint = value instanceof AbortController ? 'pass controller.signal' : undefined;
  throw invalidOption(name, 'AbortSignal', value, hint);
}

/** @throws INVALID_OPTION */
export function checkCallback(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw invalidOption(name, 'a function', value);
}
