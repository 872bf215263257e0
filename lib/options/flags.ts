/** Options as flags of a command line: their names, and the options that given flags mean. */
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
  /** `--guidance-scale`, or `--no-mask-round` where the flag turns off what is on by default. */
  readonly name: string;
  /** As help shows it: `-W, --width <n>`. */
  readonly usage: string;
  /** Under which its value is collected: the name in camel case, without `no`. */
  readonly key: string;
}

/** How help shows a value. */
const ARGUMENTS: Readonly<Record<Field['kind'], string | undefined>> = {
  ...{ number: 'n', integer: 'n', side: 'n', seed: 'n', pair: 'n', text: 'text', image: 'file', size: 'WxH' },
  ...{
    custom: 'value',
    choice: 'name',
    name: 'name',
    interval: 'low,high',
    boolean: undefined,
    object: undefined,
  },
};

/**
 * Flags of one option: two where both true and false can be asked for, none where it has none.
 * @param prefix of the option that it belongs to
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
  const own = field.flag?.name ?? option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return prefix === '' ? own : `${prefix}-${own}`;
}

/**
 * @param values by the keys of flags, each parsed
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
      const asked = field.flag.itself && values[camelCase(field.flag.prefix)] === true;
      if (asked || Object.keys(inner).length > 0) options[name] = inner;
      continue;
    }
    const value = values[camelCase(nameOf(name, field, prefix))];
    // Whoever parses flags may fill in what is on by default.
    const isDefault = field.kind === 'boolean' && value === field.default;
    if (field.flag === null || value === undefined || isDefault) continue;
    options[name] = field.kind === 'choice' ? undashed(field, value) : value;
  }
  return options;
}

/** `no norm` is `no-norm` on a command line. */
export function dashed(value: string): string {
  return value.replaceAll(' ', '-');
}

function undashed({ values }: ChoiceField, value: unknown): unknown {
  return values.find((one) => dashed(one) === value) ?? value;
}

function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
