/** `safelight worker`: runs the jobs of a shared queue. */
import { Command } from 'commander';
import type { WorkerConfig } from '../../jobs/worker.js';
import {
  addModelMemory,
  addOfferedModels,
  addRunOptions,
  type RunOptions,
  runOptions,
  withoutUndefined,
} from '../model-options.js';
import { integer } from '../numbers.js';
import { logLine } from '../output.js';
import { untilStopped } from '../until-stopped.js';

interface Flags extends RunOptions {
  readonly queue: string;
  readonly model?: string[];
  readonly models?: string;
  readonly previewVae?: string[];
  /** False with --no-starter. */
  readonly starter?: boolean;
  readonly memoryBudget?: number;
  readonly idle?: number;
  readonly concurrency?: number;
  readonly quiet?: boolean;
}

export function workerCommand(): Command {
  const command = new Command('worker')
    .summary('run the jobs of a shared queue')
    .description(
      'Run the jobs of `safelight serve --queue`. Any number of workers can run on any machines that reach the same Redis. Each runs jobs for the bundled models and for its own models, which must have the same names as on the server.',
    )
    .requiredOption('--queue <url>', 'redis://..., the same as for the server')
    .option(
      '--concurrency <n>',
      'number of jobs to run concurrently; default 1',
      integer('--concurrency', 1, 64),
    );
  return addRunOptions(addModelMemory(addOfferedModels(command)))
    .optionsGroup('Other:')
    .option('-q, --quiet', 'do not log jobs')
    .option('--verbose', 'print the stack trace of an error')
    .helpOption('-h, --help', 'show this help')
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const { queue, model, models, starter, memoryBudget, idle, concurrency } = flags;
  const config: WorkerConfig = {
    ...{ queue, model, models, starter, memoryBudget, idle, concurrency },
    ...runOptions(flags),
    ...withoutUndefined({ previewVaes: flags.previewVae }),
    ...(flags.quiet ? {} : { log }),
  };
  const { startWorker } = await import('../../jobs/worker.js');
  const worker = await startWorker(config);
  const { models: names } = worker;
  const isLogged = !flags.quiet && !process.stderr.isTTY;
  // JSON if the output is logged, because plain text between JSON lines would break parsers.
  const start = `Safelight worker started for ${names.join(', ')}`;
  process.stdout.write(isLogged ? logLine(start, { models: names }) : `${start}\n`);
  await untilStopped(() => worker.close({ drain: true }), isLogged ? log : undefined);
}

function log(message: string, about: Readonly<Record<string, unknown>> = {}): void {
  process.stderr.write(logLine(message, about));
}
