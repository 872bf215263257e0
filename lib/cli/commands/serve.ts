/** `safelight serve`: the page and the APIs. */
import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { SafelightError } from '../../errors.js';
import type { ServeInput } from '../../server/config.js';
import type { RunningServer } from '../../server/serve.js';
import { addModelMemory, addOfferedModels, backendOption, several } from '../model-options.js';
import { wholeNumber } from '../numbers.js';
import { lineOfLog, print } from '../output.js';
import { untilStopped } from '../until-stopped.js';

export function serveCommand(): Command {
  const command = new Command('serve')
    .summary('serve a page and the APIs that clients speak')
    .description(
      'Serve a page to generate in, and the APIs of Safelight, A1111 and OpenAI. Without options: the bundled models, on this machine only.',
    );
  addOfferedModels(command).option('--preload', 'load the first model at once instead of with its first job');
  return addModelMemory(command)
    .optionsGroup('Network:')
    .option('--host <address>', 'where to listen; default 127.0.0.1')
    .option('--port <n>', 'default 7860', wholeNumber('--port', 0, 65_535))
    .option(
      '--api-key <key>',
      'what clients must show (SAFELIGHT_API_KEY does the same, out of sight of other users)',
    )
    .option('--allow-host <name>', 'a further name that this server is called by; repeat for more', several)
    .option('--cors <origin>', 'a site whose pages may call this server; repeat for more', several)
    .optionsGroup('Jobs:')
    .option('--data <folder>', 'where jobs and pictures are kept; default ~/.local/share/safelight')
    .option('--queue <url>', 'redis://...: share the work with `safelight worker` on any machine')
    .option(
      '--keep-jobs <n>',
      'ended jobs that are kept; default 1000',
      wholeNumber('--keep-jobs', 0, 2 ** 31),
    )
    .option('--keep-days <n>', 'and for how many days; default 30', wholeNumber('--keep-days', 0, 36_500))
    .option('--max-queued <n>', 'jobs that may wait; default 100', wholeNumber('--max-queued', 1, 100_000))
    .optionsGroup('Machine:')
    .addOption(backendOption('where to compute'))
    .addOption(
      new Option('--memory <mode>', 'memory mode of the models').choices(['fast', 'balanced', 'lean']),
    )
    .option('--storage <type>', "how weights are kept in memory; default the file's")
    .option('--threads <n>', 'CPU threads; default one a physical core', wholeNumber('--threads', 1, 1024))
    .optionsGroup('Other:')
    .option('--config <file>', 'YAML or JSON with the same options by their long names, and more limits')
    .addOption(
      new Option('--log-level <level>', 'default info').choices([
        'fatal',
        'error',
        'warn',
        'info',
        'debug',
        'trace',
        'silent',
      ]),
    )
    .option('--verbose', 'show where an error comes from')
    .helpOption('-h, --help', 'show this help')
    .action(work);
}

async function work(flags: Record<string, unknown>): Promise<void> {
  const input = await merged(flags);
  const { serve } = await import('../../server/serve.js');
  const server = await serve(input);
  const isLogging = ![undefined, 'silent'].includes(server.app.log.level);
  if (isLogging) logStart(server);
  else print(`Safelight serves ${server.url}`);
  // Read by scripts on stderr; as a line of JSON where both streams may end up in one log.
  const isPlain = !isLogging || process.stderr.isTTY;
  await untilStopped(
    () => server.close({ drain: true }),
    isPlain ? undefined : (line) => void process.stderr.write(lineOfLog(line)),
  );
}

/** Says what people and scripts wait for as a line of the log, so that every line of stdout is JSON; to a terminal also in plain text. */
function logStart({ app, url, models }: RunningServer): void {
  const line = `Safelight serves ${url}`;
  // Whatever the level: that the server is there is no detail.
  app.log.child({}, { level: 'info' }).info({ url, models }, `${line} with ${models.join(', ')}`);
  if (process.stderr.isTTY) process.stderr.write(`${line}\n`);
}

/** The configuration file's values, then the environment's, then the command line's. */
async function merged({ config, verbose: _, ...flags }: Record<string, unknown>): Promise<ServeInput> {
  const file = typeof config === 'string' ? await readConfig(config) : {};
  const key = process.env.SAFELIGHT_API_KEY;
  // commander's default of --no-starter; the file may say otherwise.
  const said = Object.entries(flags).filter(([name, value]) => !(name === 'starter' && value === true));
  const given = Object.fromEntries(
    said.map(([name, value]) => [name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`), value]),
  );
  return { ...file, ...(key ? { 'api-key': key } : {}), ...given } as ServeInput;
}

async function readConfig(path: string): Promise<object> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new SafelightError('FILE_NOT_FOUND', `The configuration '${path}' cannot be read`, {
      cause: error,
    });
  }
  const { parse } = await import('yaml');
  try {
    const read: unknown = parse(text, { maxAliasCount: 100 });
    if (typeof read === 'object' && read !== null && !Array.isArray(read)) return read;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SafelightError('INVALID_FILE', `The configuration '${path}' is not YAML: ${why}`, {
      cause: error,
    });
  }
  throw new SafelightError(
    'INVALID_FILE',
    `The configuration '${path}' must be a list of options with their values`,
  );
}
