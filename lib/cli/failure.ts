/** Reports errors on the command line: one sentence, a stack trace with --verbose, and the exit code. */
import { CommanderError } from 'commander';
import { SafelightError } from '../errors.js';

/** Exit codes; 130 is 128 + SIGINT, 143 is 128 + SIGTERM. */
export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

/** An invalid command line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A failure that the command has printed as its result. */
export class ReportedFailure extends Error {
  override readonly name = 'ReportedFailure';
}

/** Abort reason when a signal ends the program. */
export class Interruption extends Error {
  override readonly name = 'Interruption';
  /** @param output the output that exists nevertheless, as a clause of the message */
  constructor(
    readonly signal: NodeJS.Signals,
    readonly output = 'no output was written',
  ) {
    super(`interrupted by ${signal}`);
  }
}

/** Prints an error to stderr and returns its exit code. */
export function report(error: unknown, verbose: boolean): number {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done; // --help, --version
  if (error instanceof ReportedFailure) return EXIT.failed;
  const interruption = interruptionOf(error);
  if (interruption) {
    process.stderr.write(`safelight: interrupted, ${interruption.output}\n`);
    return interruption.signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated;
  }
  process.stderr.write(`safelight: ${sentence(error)}\n`);
  if (verbose) process.stderr.write(`${stack(error)}\n`);
  return isUsage(error) ? EXIT.usage : EXIT.failed;
}

function isUsage(error: unknown): boolean {
  return (
    error instanceof UsageError ||
    error instanceof CommanderError ||
    (error instanceof SafelightError && error.code === 'INVALID_OPTION')
  );
}

function interruptionOf(error: unknown): Interruption | undefined {
  if (error instanceof Interruption) return error;
  if (!(error instanceof SafelightError) || error.code !== 'ABORTED') return undefined;
  return error.cause instanceof Interruption ? error.cause : undefined;
}

function sentence(error: unknown): string {
  if (error instanceof CommanderError) {
    if (error.code === 'commander.help') return 'missing command (--help lists the commands)';
    return error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  }
  if (error instanceof SafelightError || error instanceof UsageError)
    return error.message.replaceAll('\n', ' ');
  const message = error instanceof Error ? error.message : String(error);
  return `${message.replaceAll('\n', ' ')} (unexpected error: run again with --verbose and report it)`;
}

/** Returns the stack traces of an error and its causes. */
function stack(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const trace = error.stack ?? error.message;
  return error.cause === undefined
    ? trace
    : `${trace}
caused by ${stack(error.cause)}`;
}
