/** `safelight mcp`: serves MCP clients over stdin and stdout. */
import { Command } from 'commander';
import { EXIT } from '../failure.js';
import { addModelMemory, addOfferedModels, addRunOptions } from '../model-options.js';
import { integer } from '../numbers.js';
import { mergeConfig } from '../serve-config.js';

export function mcpCommand(): Command {
  const command = new Command('mcp')
    .summary('serve an MCP client over stdin and stdout')
    .description(
      'Offer image generation, editing and upscaling to an MCP client, such as an assistant or an editor, which starts this command and talks to it over stdin and stdout. `safelight serve` offers the same at /mcp over HTTP. Without options, it offers the bundled models.',
    );
  return addRunOptions(addModelMemory(addOfferedModels(command)))
    .optionsGroup('Jobs:')
    .option(
      '--data <folder>',
      'folder for jobs and images; default a folder in ~/.local/share/safelight/mcp that no other process uses',
    )
    .option(
      '--keep-jobs <n>',
      'number of ended jobs to keep; default 1000',
      integer('--keep-jobs', 0, 2 ** 31),
    )
    .option('--keep-days <n>', 'days to keep ended jobs; default 30', integer('--keep-days', 0, 36_500))
    .optionsGroup('Other:')
    .option('--config <file>', 'YAML or JSON file with options of `safelight serve` under their long names')
    .option('-q, --quiet', 'print only errors on stderr')
    .option('--verbose', 'print the stack trace of an error')
    .helpOption('-h, --help', 'show this help')
    .action(run);
}

async function run({ quiet, ...flags }: Record<string, unknown>): Promise<void> {
  // Stdout carries only the protocol.
  const say = (line: string): void => void (quiet || process.stderr.write(`safelight: ${line}\n`));
  const input = await mergeConfig(flags);
  const { serveMcp } = await import('../../server/serve-mcp.js');
  const server = await serveMcp(input, (error) => {
    process.stderr.write(`safelight: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`);
  });
  for (const { reason } of server.problems) say(`warning: ${reason}`);
  say(`MCP server with the models ${server.models.join(', ')}; images are stored in ${server.data}`);
  await Promise.race([server.ended, stopSignal()]);
  await server.close();
}

/** Resolves at the first SIGINT or SIGTERM; the second one ends the process immediately. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    for (const name of ['SIGINT', 'SIGTERM'] as const)
      process.on(name, () => {
        if (stopping) process.exit(name === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted);
        stopping = true;
        resolve();
      });
  });
}
