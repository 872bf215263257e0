/**
 * Suggests flags and values for unknown ones. Commander finds misspellings, but not the names that other software
 * uses.
 */
import { type Command, CommanderError } from 'commander';
import { suggestOption, suggestValue } from '../suggest.js';

/** Returns the error with a better suggestion, or unchanged. @param command the command that was run */
export function withSuggestion(error: unknown, command: Command | undefined): unknown {
  if (!(error instanceof CommanderError) || command === undefined) return error;
  const plain = error.message.replace(/\n\(Did you mean[^\n]*\)$/, '');
  const suggestion = suggestionFor(command, plain);
  if (suggestion === undefined) return error;
  return new CommanderError(error.exitCode, error.code, `${plain} (Did you mean ${suggestion}?)`);
}

function suggestionFor(command: Command, message: string): string | undefined {
  const [, flag] = /unknown option '--([^'=]+)/.exec(message) ?? [];
  if (flag !== undefined) return flagOf(command, flag);
  const [, flags, value] = /option '([^']+)' argument '(.*)' is invalid/s.exec(message) ?? [];
  const choices = command.options.find((option) => option.flags === flags)?.argChoices;
  return suggestValue(value, choices ?? []);
}

/**
 * Returns the flag of an option that is called `name` in other software; `hires.scale` in the API is
 * `--hires-scale`.
 */
function flagOf({ options }: Command, name: string): string | undefined {
  const flags = new Map(options.map((option) => [option.attributeName(), option.long]));
  const suggestion = suggestOption(name, flags.keys());
  const suggested = suggestion
    ?.split(' and ')
    .map((option) => flags.get(option) ?? `--${option.replace('.', '-')}`);
  return suggested?.join(' and ');
}
