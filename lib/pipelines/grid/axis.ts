/** Axes of a grid: an option with its values, or a change of the prompt. */
import { invalidOption, SafelightError } from '../../errors.js';
import { knownKeys } from '../../known-keys.js';
import { type AxisOption, findOption, isLocal, parseValue } from './axis-options.js';
import { MAX_VALUES, splitValues } from './axis-values.js';
import type { CellOptions } from './cell-options.js';
import { permutations, reorder, replace } from './prompt-axes.js';

/**
 * An axis: `OPTION=VALUES` with a name of `GenerateOptions`, in camel case or as a flag without dashes (`hires-scale`),
 * and comma-separated values. Numbers may be ranges: `1-5`, `1-5 (+2)` (step), `1-5 [3]` (count); a value with commas is
 * put in double quotes. `prompt-sr=a,b,c` replaces `a` in the prompts by each value, `prompt-order=a,b,c` puts the values
 * in each order. Or an object with the option's name and its values.
 */
export type GridAxis = string | { readonly option: string; readonly values: readonly unknown[] };

export interface AxisValue {
  /** Text on the sheet. */
  readonly label: string;
  /** Returns the options with this value. @throws INVALID_OPTION */
  readonly apply: (options: CellOptions) => CellOptions;
}

export interface Axis {
  /** Name of the option. */
  readonly name: string;
  readonly values: readonly AxisValue[];
  /** True for changes of the prompt, which apply after all options. */
  readonly late: boolean;
  /** True if values are or contain files, which exist on this machine only. */
  readonly local: boolean;
}

const AXIS_KEYS: ReadonlySet<string> = new Set(['option', 'values']);

/**
 * Parses an axis.
 * @param where `x`, `y` or `z`
 * @throws INVALID_OPTION
 */
export function parseAxis(where: string, axis: GridAxis): Axis {
  if (typeof axis !== 'string') return axisOfValues(where, axis);
  const at = axis.indexOf('=');
  const [name, text] = [axis.slice(0, at).trim().replace(/^--/, ''), axis.slice(at + 1)];
  if (at < 1 || name === '' || text.trim() === '')
    throw invalidOption(where, 'OPTION=VALUES (such as steps=4,8,12)', axis);
  const texts = splitValues(name, text);
  const special = promptAxis(name, texts);
  if (special) return special;
  const option = findOption(name);
  const values = texts.flatMap((one) => parseValue(option, one));
  return axisOf(option, values);
}

function axisOfValues(where: string, axis: unknown): Axis {
  knownKeys(where, axis, AXIS_KEYS);
  const { option: name, values } = axis as { readonly option: unknown; readonly values: unknown };
  if (typeof name !== 'string') throw invalidOption(`${where}.option`, 'the name of an option', name);
  if (!Array.isArray(values) || values.length === 0)
    throw invalidOption(`${where}.values`, 'an array of at least one value', values);
  const special = promptAxis(name, values);
  if (special) return special;
  const option = findOption(name);
  return axisOf(option, values);
}

function axisOf(option: AxisOption, values: readonly unknown[]): Axis {
  return checked({
    ...{ name: option.name, late: false, local: isLocal(option) },
    values: values.map((value) => axisValue(option, value)),
  });
}

function promptAxis(name: string, values: readonly unknown[]): Axis | undefined {
  const kind = /^prompt-?(sr|order)$/i.exec(name)?.[1]?.toLowerCase();
  if (kind === undefined) return undefined;
  const texts = values.map((value) => {
    if (typeof value !== 'string' || value === '')
      throw invalidOption(name, 'texts that are not empty', value);
    return value;
  });
  if (kind === 'order') {
    const orders = permutations(texts);
    return checked({ name: 'prompt-order', late: true, local: false, values: orders.map(orderValue) });
  }
  const [search] = texts;
  const replaced = texts.map(
    (text): AxisValue => ({ label: text, apply: (options) => replace(options, search!, text) }),
  );
  return checked({ name: 'prompt-sr', late: true, local: false, values: replaced });
}

function orderValue(words: readonly string[]): AxisValue {
  return { label: words.join(', '), apply: (options) => reorder(options, words) };
}

function axisValue({ name, path, field }: AxisOption, value: unknown): AxisValue {
  const [key, inner] = path as readonly [keyof CellOptions, string?];
  return {
    label: `${name}: ${labelOf(value)}`,
    apply: (options) => {
      if (value === undefined) throw invalidOption(name, `a value (${field.description})`, value);
      if (inner === undefined) return { ...options, [key]: value };
      const group: unknown = options[key];
      return { ...options, [key]: { ...(typeof group === 'object' ? group : {}), [inner]: value } };
    },
  };
}

function labelOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(labelOf).join(', ');
  if (typeof value === 'object' && value !== null) {
    if ('width' in value && 'height' in value) return `${value.width}x${value.height}`;
    if ('path' in value && typeof value.path === 'string') return loraLabel(value.path, value);
  }
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Name and weight of a LoRA. */
function loraLabel(path: string, lora: object): string {
  const name = path.replace(/^.*[/\\]/, '').replace(/\.[^.]*$/, '');
  return 'weight' in lora && lora.weight !== undefined ? `${name}:${String(lora.weight)}` : name;
}

function checked(axis: Axis): Axis {
  if (axis.values.length <= MAX_VALUES) return axis;
  throw new SafelightError(
    'INVALID_OPTION',
    `Expected at most ${MAX_VALUES} values for ${axis.name}, received ${axis.values.length}.`,
  );
}
