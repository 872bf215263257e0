/** Suggests a flag or value for an unknown one. Commander finds misspellings, but does not know the names that other software uses. */
import { type Command, CommanderError } from 'commander';
import { suggestOption, suggestValue } from '../suggest.js';

/** The error with a better suggestion, or as it came. @param command the one whose line it is */
export function withSuggestion(error: unknown, command: Command | undefined): unknown {
  if (!(error instanceof CommanderError) || command === undefined) return error;
  const plain = error.message.replace(/\n\(Did you mean[^\n]*\)$/, '');
  const found = meant(command, plain);
  if (found === undefined) return error;
  return new CommanderError(error.exitCode, error.code, `${plain} (Did you mean ${found}?)`);
}

function meant(command: Command, message: string): string | undefined {
  const [, flag] = /unknown option '--([^'=]+)/.exec(message) ?? [];
  if (flag !== undefined) return flagOf(command, flag);
  const [, flags, value] = /option '([^']+)' argument '(.*)' is invalid/s.exec(message) ?? [];
  const choices = command.options.find((option) => option.flags === flags)?.argChoices;
  return suggestValue(value, choices ?? []);
}

/** The flag of an option that is called `name` elsewhere; `hires.scale` of the API is `--hires-scale` here. */
function flagOf({ options }: Command, name: string): string | undefined {
  const flags = new Map(options.map((option) => [option.attributeName(), option.long]));
  const found = suggestOption(name, flags.keys());
  const named = found?.split(' and ').map((one) => flags.get(one) ?? `--${one.replace('.', '-')}`);
  return named?.join(' and ');
}
