/** Options that an axis of a grid can vary, by any spelling of their names, and the parsing of their values. */
import { invalidOption, SafelightError } from '../../errors.js';
import { generationFields } from '../../options/declarations/generation.js';
import { entriesOf, type Field, type Fields, isSerializable, type ObjectField } from '../../options/field.js';
import { dashed, flagsOf } from '../../options/flags.js';
import { didYouMean, suggestOption } from '../../suggest.js';
import { numbersOf } from './axis-values.js';

/** An option that an axis can vary. */
export interface AxisOption {
  /** Name of the flag without dashes, such as `hires-scale`. */
  readonly name: string;
  /** Keys of the option: one, or two for an option in a group. */
  readonly path: readonly string[];
  readonly field: Exclude<Field, ObjectField>;
}

/** Options that concern several images; a cell is one image. */
const EXCLUDED: ReadonlySet<string> = new Set(['count', 'batch']);

/** Names of axes that change the prompt instead of setting an option. */
export const promptAxes = ['prompt-sr', 'prompt-order'] as const;

let known: ReadonlyMap<string, AxisOption> | undefined;

/** Returns the options that an axis can vary, of all generation options or of some of them. */
export function axisOptions(fields: Fields = generationFields): AxisOption[] {
  return collect(fields, [], '');
}

/** True for an option whose values are or contain files, which exist on this machine only. */
export function isLocal({ field }: Pick<AxisOption, 'field'>): boolean {
  return (
    field.kind === 'image' || !isSerializable(field) || (field.kind === 'custom' && field.images === true)
  );
}

/**
 * Returns an option by its name as a flag (`hires-scale`) or in camel case (`hiresScale`, `hires.scale`).
 * @throws INVALID_OPTION with the nearest name as a suggestion
 */
export function findOption(name: string): AxisOption {
  known ??= new Map(axisOptions().flatMap(spellings));
  const option = known.get(normalized(name));
  if (option !== undefined) return option;
  const names = [...new Set([...known.values()].map((one) => one.name))];
  const hint = didYouMean(suggestOption(name, names));
  throw new SafelightError(
    'INVALID_OPTION',
    `Unknown option ${JSON.stringify(name.slice(0, 60))} of an axis: ${hint ? `${hint} Accepted` : 'accepted'} options: ${[...promptAxes, ...names].join(', ')}`,
  );
}

function collect(fields: Fields, path: readonly string[], prefix: string): AxisOption[] {
  return entriesOf(fields).flatMap(([key, field]): AxisOption[] => {
    if (field.kind === 'object') return collect(field.fields, [...path, key], field.flag.prefix);
    if (EXCLUDED.has(key) || (field.kind === 'custom' && !field.parse)) return [];
    // The prompt is an argument, not a flag.
    const flag = flagsOf(key, field, prefix)[0]?.name ?? `--${key}`;
    const name = flag.replace(field.kind === 'boolean' ? /^--(no-)?/ : /^--/, '');
    return [{ name, path: [...path, key], field }];
  });
}

function spellings(option: AxisOption): [string, AxisOption][] {
  return [option.name, option.path.join('')].map((name) => [normalized(name), option]);
}

function normalized(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}

/**
 * Parses one value of an option, which may be a range.
 * @throws INVALID_OPTION
 */
export function parseValue({ name, field }: AxisOption, text: string): readonly unknown[] {
  switch (field.kind) {
    case 'number':
      return numbersOf(name, text, false);
    case 'integer':
    case 'side':
      return numbersOf(name, text, true);
    case 'seed':
      return numbersOf(name, text, true).map((seed) => {
        if (seed < 0) throw invalidOption(name, 'seeds of at least 0 in a grid', text);
        return seed;
      });
    case 'boolean':
      return [booleanOf(name, text)];
    case 'choice':
      return [field.values.find((value) => [value, dashed(value)].includes(text)) ?? text];
    case 'interval':
    case 'numbers':
    case 'descending':
      return [text.split(',').map((part) => singleNumber(name, part))];
    case 'pair': {
      const numbers = text.split(',').map((part) => singleNumber(name, part));
      return [numbers.length === 1 ? numbers[0] : numbers];
    }
    case 'size': {
      const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(text) ?? [];
      if (width === undefined) throw invalidOption(name, 'sizes as WIDTHxHEIGHT', text);
      return [{ width: Number(width), height: Number(height) }];
    }
    case 'custom':
      return [text === '' ? [] : [field.parse?.(text)]];
    default:
      return [text];
  }
}

function booleanOf(name: string, text: string): boolean {
  if (/^(true|yes|on|1)$/i.test(text)) return true;
  if (/^(false|no|off|0)$/i.test(text)) return false;
  throw invalidOption(name, 'true or false', text);
}

function singleNumber(name: string, text: string): number {
  const [value, ...more] = numbersOf(name, text.trim(), false);
  if (more.length > 0) throw invalidOption(name, 'numbers', text);
  return value!;
}
