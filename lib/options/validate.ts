/**
 * Validation of options against their declarations: names, types and ranges. Errors name the option and suggest
 * similar names.
 */
import { invalidOption } from '../errors.js';
import * as check from './check.js';
import { boundOf, type CheckedOf, entriesOf, type Field, type Fields, type OptionsOf } from './field.js';
import { apiLimits, type Limits } from './limits.js';

export interface CheckContext {
  readonly limits?: Limits;
  /** Divisor of side lengths in pixels: the model's downsampling factor. Default 1, if the model is not known. */
  readonly grid?: number;
  /** The model's defaults, by option name. */
  readonly defaults?: { readonly [name: string]: unknown };
  /** Largest seed of the first image, so that the seeds of all images of a call are safe integers. */
  readonly maxSeed?: number;
}

/**
 * Validates options and fills in defaults. Unknown top-level names are not rejected, because callers accept further
 * keys.
 * @param path name of the option that contains these options; undefined at the top level
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
    const modelDefault = 'byModel' in field && field.byModel ? defaults[name] : undefined;
    const fallback = modelDefault ?? ('default' in field ? field.default : undefined);
    // null selects the default, if the option has one.
    const value = options[name] ?? fallback ?? options[name];
    return [name, validateField(path === undefined ? name : `${path}.${name}`, field, value, context)];
  });
  return Object.fromEntries(checked) as CheckedOf<F>;
}

/**
 * Validates options without filling in defaults or replacing random seeds, so that they can be passed on.
 * @throws INVALID_OPTION naming the option, also for an unknown one
 */
export function checkGiven<const F extends Fields>(
  fields: F,
  options: unknown,
  context: CheckContext = {},
): OptionsOf<F> {
  check.knownKeys('options', options, new Set(Object.keys(fields)));
  return checkedFields(fields, options as { readonly [name: string]: unknown }, context) as OptionsOf<F>;
}

function checkedFields(
  fields: Fields,
  options: { readonly [name: string]: unknown },
  context: CheckContext,
  path = '',
): Record<string, unknown> {
  const checkedEntries = entriesOf(fields).flatMap(([name, field]): [string, unknown][] => {
    const value = options[name];
    if (value === undefined) return [];
    const checked = validateField(path + name, field, value, context);
    if (field.kind === 'seed') return [[name, value]];
    if (field.kind !== 'object') return [[name, checked]];
    return [
      [name, checkedFields(field.fields, value as Record<string, unknown>, context, `${path}${name}.`)],
    ];
  });
  return Object.fromEntries(checkedEntries);
}

function validateField(name: string, field: Field, value: unknown, context: CheckContext): unknown {
  const { limits = apiLimits, grid = 1, maxSeed } = context;
  // A missing seed becomes random here; other missing values are resolved once the model is known.
  if (field.kind === 'seed') return check.seed(name, value, maxSeed);
  if (value === undefined) return undefined;
  const range = (): [number, number] => rangeOf(field, limits);
  switch (field.kind) {
    case 'number': {
      const checked = check.number(name, value, ...range());
      if (field.above && checked === boundOf(field.min, limits))
        throw invalidOption(name, `a number above ${checked}`, checked);
      return checked;
    }
    case 'integer':
      return check.integer(name, value, ...range());
    case 'side':
      return check.multiple(name, value, grid, limits.maxSide);
    case 'boolean':
      return check.boolean(name, value);
    case 'choice':
      // Names of files are looked up when their folder is known.
      return field.orFile !== undefined && isFileReference(value)
        ? value
        : check.oneOf(name, value, field.values, field.orFile);
    case 'name':
      return check.string(name, value);
    case 'text':
      return check.text(name, value, boundOf(field.max, limits));
    case 'image':
      return value; // checked when the image is read
    case 'custom':
      return field.check(name, value);
    case 'interval':
      return check.interval(name, value, ...range());
    case 'numbers':
      return check.numbers(name, value, field.names, ...range());
    case 'descending':
      return check.descending(name, value, ...range(), boundOf(field.maxPositive, limits));
    case 'pair': {
      const both: readonly unknown[] = Array.isArray(value) && value.length === 2 ? value : [value];
      const [x, y = x] = both.map((item) => check.number(name, item, ...range()));
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

/** Longest name of a file in a folder, in characters. */
export const MAX_FILE_NAME = 200;

/** Matches names of files in a folder, which unlike paths have no separator. */
export const fileNamePattern = /^[^/\\]+$/;

/** True for the name or the path of a file. */
function isFileReference(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && !value.includes('\0');
}

/** True for the path of a file, which unlike most names has an ending or a separator. */
export function isFileName(value: string): boolean {
  return /[./\\]/.test(value);
}

/** True for a name without a path, as JSON may contain it. */
export function isPlainFileName(value: unknown): value is string {
  return isFileReference(value) && value.length <= MAX_FILE_NAME && fileNamePattern.test(value);
}

/** Returns the bounds of a numeric option, or of each of its numbers. */
export function rangeOf(field: Field, limits: Limits): [min: number, max: number] {
  if (!('min' in field)) return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  return [boundOf(field.min, limits), boundOf(field.max, limits)];
}
