/**
 * Checks of options that pipelines, models and tensors share. Unknown names are errors: a misspelt option would be
 * ignored silently.
 */
import { invalidOption, SafelightError } from './errors.js';
import { didYouMean, suggestOption, suggestValue } from './suggest.js';

/**
 * Checks that `options` is an object without unknown keys, whatever their values.
 * @param name the object's name in messages: `options`, or the name of the option whose value it is
 * @throws INVALID_OPTION with the accepted keys and the nearest one as a suggestion
 */
export function knownKeys(name: string, options: unknown, keys: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw invalidOption(name, 'an object', options);
  for (const key of Object.keys(options)) {
    if (!keys.has(key)) throw unknownOption(name, key, keys);
  }
}

/** Returns the INVALID_OPTION error of an unknown key of the object `owner`. */
export function unknownOption(owner: string, key: string, keys: Iterable<string>): SafelightError {
  const name = JSON.stringify(key.slice(0, 60));
  const where = owner === 'options' ? '' : ` of ${owner}`;
  const hint = didYouMean(suggestOption(key, keys));
  return new SafelightError(
    'INVALID_OPTION',
    `Unknown option ${name}${where}: ${hint ? `${hint} Accepted` : 'accepted'} options: ${[...keys].join(', ')}`,
  );
}

/** Returns `value` if it is one of `names`. @throws INVALID_OPTION with the nearest name as a suggestion */
export function oneOf<T extends string>(
  name: string,
  value: unknown,
  names: readonly T[],
  orFile?: string,
): T {
  const known = names.find((candidate) => candidate === value);
  if (known !== undefined) return known;
  const others = orFile === undefined ? '' : `, or the name or path of an ${orFile}`;
  const expected = `one of ${names.join(', ')}${others}`;
  throw invalidOption(name, expected, value, didYouMean(suggestValue(value, names)));
}

/** @throws INVALID_OPTION */
export function checkSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  const hint = value instanceof AbortController ? 'pass controller.signal' : undefined;
  throw invalidOption(name, 'an AbortSignal', value, hint);
}

/** @throws INVALID_OPTION */
export function checkCallback(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw invalidOption(name, 'a function', value);
}
