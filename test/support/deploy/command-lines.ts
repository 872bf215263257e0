/** Reads the files of deploy/, and checks command lines in them against the commands of the program. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { serveCommand } from '../../../lib/cli/commands/serve.js';
import { workerCommand } from '../../../lib/cli/commands/worker.js';

const deploy = fileURLToPath(new URL('../../../deploy', import.meta.url));

export function deployFile(name: string): string {
  return join(deploy, name);
}

export function readDeployFile(name: string): string {
  return readFileSync(deployFile(name), 'utf8');
}

/** Returns the options of a command line, such as `['serve', '--port', '1']`. @throws for an unknown command or option */
export function optionsOf([name, ...args]: readonly string[]): Record<string, unknown> {
  const command = [serveCommand(), workerCommand()].find((one: Command) => one.name() === name);
  if (!command) throw new Error(`${name} is neither serve nor worker`);
  const silent = { writeOut: () => undefined, writeErr: () => undefined };
  command
    .exitOverride()
    .configureOutput(silent)
    .action(() => undefined);
  return command.parse(args, { from: 'user' }).opts();
}

export interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** Returns the instructions of a Dockerfile, with continued lines joined and without comments. */
export function instructionsOf(dockerfile: string): Instruction[] {
  const text = dockerfile.replace(/^\s*#.*\n/gm, '').replace(/\\\n\s*/g, '');
  return [...text.matchAll(/^([A-Z]+) (.*)$/gm)].map(([, name = '', rest = '']) => ({ name, text: rest }));
}

/** Returns the reason why a program cannot be run, for the title of a skipped test; undefined if it can. */
export function without(program: string, ...args: readonly string[]): string | undefined {
  const { error, status } = spawnSync(program, args, { stdio: 'ignore' });
  if (error) return `${program} is not installed`;
  return status === 0 ? undefined : `${program} ${args.join(' ')} is not permitted`;
}
