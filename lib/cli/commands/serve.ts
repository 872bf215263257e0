/** `safelight serve`: serves the web page and the HTTP APIs. */
import { Command, Option } from 'commander';
import type { RunningServer } from '../../server/serve.js';
import {
  addModelMemory,
  addOfferedModels,
  backendOption,
  collect,
  precisionOption,
} from '../model-options.js';
import { integer } from '../numbers.js';
import { logLine, print } from '../output.js';
import { mergeConfig } from '../serve-config.js';
import { untilStopped } from '../until-stopped.js';

export function serveCommand(): Command {
  const command = new Command('serve')
    .summary('serve the web page and the HTTP APIs')
    .description(
      'Serve a web page for generating images, and the APIs of Safelight, A1111 and OpenAI. Without options, it serves the bundled models to this machine only.',
    );
  addOfferedModels(command).option(
    '--preload',
    'load the first model at startup instead of with its first job',
  );
  return addModelMemory(command)
    .optionsGroup('Network:')
    .option('--host <address>', 'address to listen on; default 127.0.0.1')
    .option('--port <n>', 'port to listen on; default 7860', integer('--port', 0, 65_535))
    .option('--base-path <path>', 'path below which a reverse proxy offers the server, such as /safelight')
    .option(
      '--api-key <key>',
      'key that clients must send (SAFELIGHT_API_KEY hides it from other users of the machine)',
    )
    .option('--allow-host <name>', 'an additional host name of this server; repeatable', collect)
    .option('--cors <origin>', 'an origin whose pages may call this server; repeatable', collect)
    .optionsGroup('Jobs:')
    .option('--data <folder>', 'folder for jobs and images; default ~/.local/share/safelight')
    .option('--queue <url>', 'redis://...: jobs are run by `safelight worker` on any machines')
    .option(
      '--keep-jobs <n>',
      'number of ended jobs to keep; default 1000',
      integer('--keep-jobs', 0, 2 ** 31),
    )
    .option('--keep-days <n>', 'days to keep ended jobs; default 30', integer('--keep-days', 0, 36_500))
    .option(
      '--max-queued <n>',
      'maximum number of queued jobs; default 100',
      integer('--max-queued', 1, 100_000),
    )
    .optionsGroup('Machine:')
    .addOption(backendOption('compute device'))
    .addOption(
      new Option('--memory <mode>', 'memory mode of the models').choices(['fast', 'balanced', 'lean']),
    )
    .option('--storage <type>', "storage type of the weights in memory; default the file's")
    .addOption(precisionOption())
    .option('--threads <n>', 'CPU threads; default one per physical core', integer('--threads', 1, 1024))
    .optionsGroup('Other:')
    .option(
      '--config <file>',
      'YAML or JSON file with the same options under their long names, and more limits',
    )
    .addOption(
      new Option('--log-level <level>', 'minimum level of log messages; default info').choices([
        'fatal',
        'error',
        'warn',
        'info',
        'debug',
        'trace',
        'silent',
      ]),
    )
    .option('--verbose', 'print the stack trace of an error')
    .helpOption('-h, --help', 'show this help')
    .action(run);
}

async function run(flags: Record<string, unknown>): Promise<void> {
  const input = await mergeConfig(flags);
  const { serve } = await import('../../server/serve.js');
  const server = await serve(input);
  const isLogging = ![undefined, 'silent'].includes(server.app.log.level);
  if (isLogging) logStart(server);
  else print(`Safelight is listening at ${server.url}`);
  // Plain text on a terminal; a JSON line if stderr may end up in the same log as stdout.
  const isPlain = !isLogging || process.stderr.isTTY;
  await untilStopped(
    () => server.close({ drain: true }),
    isPlain ? undefined : (line) => void process.stderr.write(logLine(line)),
  );
}

/**
 * Logs the URL as JSON, so that every line on stdout is JSON; also prints it as plain text if stderr is a
 * terminal.
 */
function logStart({ app, url, models }: RunningServer): void {
  const line = `Safelight is listening at ${url}`;
  // Logged regardless of the configured level.
  app.log.child({}, { level: 'info' }).info({ url, models }, `${line} with the models ${models.join(', ')}`);
  if (process.stderr.isTTY) process.stderr.write(`${line}\n`);
}
