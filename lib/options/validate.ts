/** The check of options against their declarations: names, types, ranges; errors name the option and, where one is near, what was meant. */
import { invalidOption } from '../errors.js';
import * as check from './check.js';
import { boundOf, type CheckedOf, entriesOf, type Field, type Fields, type OptionsOf } from './field.js';
import { apiLimits, type Limits } from './limits.js';

export interface CheckContext {
  readonly limits?: Limits;
  /** Pixels of which sides are multiples: the model's downsampling factor; 1 where it is not known. */
  readonly grid?: number;
  /** The model's own defaults, by the names of options. */
  readonly defaults?: { readonly [name: string]: unknown };
  /** The largest seed, so that those of all images of a call are exact. */
  readonly maxSeed?: number;
}

/**
 * Options with defaults, checked. Does not look for unknown names at the top: callers take further keys.
 * @param path the option that these belong to; undefined at the top
 * @throws INVALID_OPTION naming the option
 */
export function validate<const F extends Fields>(
  fields: F,
  options: { readonly [name: string]: unknown },
  context: CheckContext = {},
  path?: string,
): CheckedOf<F> {
  const { defaults = {} } = context;
  const checked = entriesOf(fields).map(([name, field]): [string, unknown] => {
    const own = 'byModel' in field && field.byModel ? defaults[name] : undefined;
    const fallback = own ?? ('default' in field ? field.default : undefined);
    // As ever, null asks for the default where there is one.
    const value = options[name] ?? fallback ?? options[name];
    return [name, validateField(path === undefined ? name : `${path}.${name}`, field, value, context)];
  });
  return Object.fromEntries(checked) as CheckedOf<F>;
}

/**
 * The options that are given, checked: without defaults, and with seeds as they are, so that they may be passed on.
 * @throws INVALID_OPTION naming the option, also an unknown one
 */
export function checkGiven<const F extends Fields>(
  fields: F,
  options: unknown,
  context: CheckContext = {},
): OptionsOf<F> {
  check.knownKeys('options', options, new Set(Object.keys(fields)));
  return givenOf(fields, options as { readonly [name: string]: unknown }, context) as OptionsOf<F>;
}

function givenOf(
  fields: Fields,
  options: { readonly [name: string]: unknown },
  context: CheckContext,
  path = '',
): Record<string, unknown> {
  const given = entriesOf(fields).flatMap(([name, field]): [string, unknown][] => {
    const value = options[name];
    if (value === undefined) return [];
    const checked = validateField(path + name, field, value, context);
    if (field.kind === 'seed') return [[name, value]];
    if (field.kind !== 'object') return [[name, checked]];
    return [[name, givenOf(field.fields, value as Record<string, unknown>, context, `${path}${name}.`)]];
  });
  return Object.fromEntries(given);
}

function validateField(name: string, field: Field, value: unknown, context: CheckContext): unknown {
  const { limits = apiLimits, grid = 1, maxSeed } = context;
  // Seeds that are not given are random; everything else is left to whoever knows the model.
  if (field.kind === 'seed') return check.seed(name, value, maxSeed);
  if (value === undefined) return undefined;
  const range = (): [number, number] => rangeOf(field, limits);
  switch (field.kind) {
    case 'number': {
      const given = check.number(name, value, ...range());
      if (field.above && given === boundOf(field.min, limits))
        throw invalidOption(name, `number above ${given}`, given);
      return given;
    }
    case 'integer':
      return check.integer(name, value, ...range());
    case 'side':
      return check.multiple(name, value, grid, limits.maxSide);
    case 'boolean':
      return check.boolean(name, value);
    case 'choice':
      return check.oneOf(name, value, field.values);
    case 'name':
      return check.string(name, value);
    case 'text':
      return check.text(name, value, boundOf(field.max, limits));
    case 'image':
      return value; // read where it is used
    case 'custom':
      return field.check(name, value);
    case 'interval':
      return check.interval(name, value, ...range());
    case 'descending':
      return check.descending(name, value, ...range(), boundOf(field.most, limits));
    case 'pair': {
      const both: readonly unknown[] = Array.isArray(value) && value.length === 2 ? value : [value];
      const [x, y = x] = both.map((one) => check.number(name, one, ...range()));
      return x === y ? x : [x, y];
    }
    case 'size': {
      check.knownKeys(name, value, new Set(['width', 'height']));
      const { width, height } = value as { readonly width?: unknown; readonly height?: unknown };
      return {
        width: check.integer(`${name}.width`, width, ...range()),
        height: check.integer(`${name}.height`, height, ...range()),
      };
    }
    case 'object':
      check.knownKeys(name, value, new Set(Object.keys(field.fields)));
      return validate(field.fields, value as Record<string, unknown>, { ...context, defaults: {} }, name);
  }
}

/** Both bounds of an option that is a number, or of each of its numbers. */
export function rangeOf(field: Field, limits: Limits): [min: number, max: number] {
  if (!('min' in field)) return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  return [boundOf(field.min, limits), boundOf(field.max, limits)];
}
