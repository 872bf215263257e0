/** Mapping between options and command-line flags. */
import {
  type ChoiceField,
  entriesOf,
  type Field,
  type Fields,
  type ObjectField,
  type OptionsOf,
} from './field.js';
import { checkGiven } from './validate.js';

export interface Flag {
  readonly field: Exclude<Field, ObjectField>;
  /** Flag name such as `--guidance-scale`, or `--no-mask-round` for an option that is true by default. */
  readonly name: string;
  /** Usage shown in help: `-W, --width <n>`. */
  readonly usage: string;
  /** Key of the parsed value: the name in camel case, without `no`. */
  readonly key: string;
}

/** Placeholders of values in help. */
const ARGUMENTS: Readonly<Record<Field['kind'], string | undefined>> = {
  ...{ number: 'n', integer: 'n', side: 'n', seed: 'n', pair: 'n', text: 'text', image: 'file', size: 'WxH' },
  ...{
    custom: 'value',
    choice: 'name',
    name: 'name',
    interval: 'low,high',
    numbers: 'a,b,c',
    descending: 'a,b,c',
    boolean: undefined,
    object: undefined,
  },
};

/**
 * Returns the flags of an option: two for a boolean without a default (`--x`, `--no-x`), none if it has no flag,
 * otherwise one.
 * @param prefix flag prefix of the containing option
 */
export function flagsOf(option: string, field: Exclude<Field, ObjectField>, prefix = ''): Flag[] {
  if (field.flag === null || (field.kind === 'custom' && !field.parse)) return [];
  const { short, argument = ARGUMENTS[field.kind] } = field.flag ?? {};
  const name = nameOf(option, field, prefix);
  const flag = (text: string): Flag => ({
    field,
    name: text,
    usage: `${short === undefined ? '' : `-${short}, `}${text}${argument === undefined ? '' : ` <${argument}>`}`,
    key: camelCase(name),
  });
  const [yes, no] = [flag(`--${name}`), flag(`--no-${name}`)];
  if (field.kind !== 'boolean') return [yes];
  return field.default === undefined ? [yes, no] : [field.default ? no : yes];
}

function nameOf(option: string, field: Exclude<Field, ObjectField>, prefix: string): string {
  const base = field.flag?.name ?? option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return prefix === '' ? base : `${prefix}-${base}`;
}

/**
 * Converts parsed flags to options.
 * @param values parsed values by `Flag.key`
 * @throws INVALID_OPTION
 */
export function optionsOfFlags<const F extends Fields>(
  fields: F,
  values: { readonly [key: string]: unknown },
): OptionsOf<F> {
  return checkGiven(fields, collected(fields, values, ''));
}

function collected(
  fields: Fields,
  values: { readonly [key: string]: unknown },
  prefix: string,
): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [name, field] of entriesOf(fields)) {
    if (field.kind === 'object') {
      const inner = collected(field.fields, values, field.flag.prefix);
      const enabled = field.flag.itself && values[camelCase(field.flag.prefix)] === true;
      if (enabled || Object.keys(inner).length > 0) options[name] = inner;
      continue;
    }
    // Flags of other options, such as --embeddings, may have the name of an option without a flag.
    if (flagsOf(name, field, prefix).length === 0) continue;
    const value = values[camelCase(nameOf(name, field, prefix))];
    // commander fills in true for options with a `--no-` flag.
    const isDefault = field.kind === 'boolean' && value === field.default;
    if (value === undefined || isDefault) continue;
    options[name] = field.kind === 'choice' ? undashed(field, value) : value;
  }
  return options;
}

/** Spells a choice for the command line: `no norm` becomes `no-norm`. */
export function dashed(value: string): string {
  return value.replaceAll(' ', '-');
}

function undashed({ values }: ChoiceField, value: unknown): unknown {
  return values.find((candidate) => dashed(candidate) === value) ?? value;
}

function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
