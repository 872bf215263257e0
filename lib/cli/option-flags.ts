/** Adds the flags of declared options to a command. */
import { type Command, Option } from 'commander';
import { entriesOf, type Fields } from '../options/field.js';
import { dashed, type Flag, flagsOf } from '../options/flags.js';
import { apiLimits } from '../options/limits.js';
import { rangeOf } from '../options/validate.js';
import { decimal, decimals, dimensions, integer, interval, numberList, pair, seedNumber } from './numbers.js';

/** Adds the flags of options as a group of the help text; object options get separate groups. */
export function addOptionFlags(command: Command, title: string, fields: Fields, prefix = ''): Command {
  if (title !== '') command.optionsGroup(title);
  for (const [name, field] of entriesOf(fields)) {
    if (field.kind === 'object') continue;
    for (const flag of flagsOf(name, field, prefix)) command.addOption(optionOf(flag));
  }
  for (const [, field] of entriesOf(fields)) {
    if (field.kind !== 'object') continue;
    command.optionsGroup(field.title);
    if (field.flag.itself)
      command.option(`--${field.flag.prefix}`, `${field.description} (implied by any option below)`);
    addOptionFlags(command, '', field.fields, field.flag.prefix);
  }
  return command;
}

function optionOf(flag: Flag): Option {
  const { field, usage } = flag;
  const { description } = field;
  const isNo = field.kind === 'boolean' && flag.name.startsWith('--no-');
  const option = new Option(usage, isNo ? (field.off ?? `do not ${description}`) : description);
  if (field.kind === 'choice') {
    const names = field.values.map(dashed);
    if (field.orFile === undefined) return option.choices(names);
    option.description += ` (choices: ${names.map((name) => JSON.stringify(name)).join(', ')})`;
    return option;
  }
  const parse = parserOf(flag);
  return parse ? option.argParser(parse) : option;
}

function parserOf({ field, name }: Flag): ((text: string, before: unknown) => unknown) | undefined {
  const range = rangeOf(field, apiLimits);
  switch (field.kind) {
    case 'number':
      return decimal(name, ...range);
    case 'integer':
      return integer(name, ...range);
    case 'side':
      return integer(name, 1, apiLimits.maxSide);
    case 'seed':
      return seedNumber(name);
    case 'interval':
      return interval(name, ...range);
    case 'numbers':
      return numberList(name, ...range);
    case 'descending':
      return decimals(name, 0, range[1]);
    case 'pair':
      return pair(name, ...range);
    case 'size':
      return dimensions(name);
    case 'custom':
      return (text, before) => [...(Array.isArray(before) ? before : []), field.parse?.(text)];
    default:
      return undefined;
  }
}
