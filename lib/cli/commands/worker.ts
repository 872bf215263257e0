/** `safelight worker`: takes jobs off a shared queue. */
import { Command } from 'commander';
import type { WorkerConfig } from '../../jobs/worker.js';
import { addModelMemory, addOfferedModels, addRunOptions, given, type RunOptions } from '../model-options.js';
import { wholeNumber } from '../numbers.js';
import { lineOfLog } from '../output.js';
import { untilStopped } from '../until-stopped.js';

interface Flags extends RunOptions {
  readonly queue: string;
  readonly model?: string[];
  readonly models?: string;
  /** False with --no-starter. */
  readonly starter?: boolean;
  readonly memoryBudget?: number;
  readonly idle?: number;
  readonly concurrency?: number;
  readonly quiet?: boolean;
}

export function workerCommand(): Command {
  const command = new Command('worker')
    .summary('do the jobs of a shared queue')
    .description(
      'Do the jobs that `safelight serve --queue` shares. Any number of workers, on any machines that reach the same Redis; each takes jobs for the models it has, which go by the same names as on the server, and for the bundled models.',
    )
    .requiredOption('--queue <url>', "redis://..., the server's")
    .option('--concurrency <n>', 'jobs at a time; default 1', wholeNumber('--concurrency', 1, 64));
  return addRunOptions(addModelMemory(addOfferedModels(command)))
    .optionsGroup('Other:')
    .option('-q, --quiet', 'no word about jobs')
    .option('--verbose', 'show where an error comes from')
    .helpOption('-h, --help', 'show this help')
    .action(work);
}

async function work(flags: Flags): Promise<void> {
  const { queue, model, models, starter, memoryBudget, idle, concurrency } = flags;
  const { backend, storage, threads, memory } = flags;
  const config: WorkerConfig = {
    ...{ queue, model, models, starter, memoryBudget, idle, concurrency },
    ...given({ backend, storage, threads, memory }),
    ...(flags.quiet ? {} : { log }),
  };
  const { startWorker } = await import('../../jobs/worker.js');
  const worker = await startWorker(config);
  const { models: names } = worker;
  const isLogged = !flags.quiet && !process.stderr.isTTY;
  // Plain text among lines of JSON would stop who reads those.
  const start = `Safelight works for ${names.join(', ')}`;
  process.stdout.write(isLogged ? lineOfLog(start, { models: names }) : `${start}\n`);
  await untilStopped(() => worker.close({ drain: true }), isLogged ? log : undefined);
}

function log(message: string, about: Readonly<Record<string, unknown>> = {}): void {
  process.stderr.write(lineOfLog(message, about));
}
