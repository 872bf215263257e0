/** `safelight backends`: what this build can compute on. */
import { Command } from 'commander';
import { bytes, print, printJson, table } from './output.js';

export function backendsCommand(): Command {
  return new Command('backends')
    .summary('list the devices that can compute')
    .description('List the devices that can compute.')
    .option('--json', 'print only JSON on stdout')
    .option('--verbose', 'show where an error comes from')
    .action(listBackends);
}

async function listBackends({ json }: { json?: boolean }): Promise<void> {
  const { backends } = await import('../native/backends.js');
  const found = backends();
  if (json) return printJson(found);
  const rows = found.map(({ name, device, description, memory }) => [
    name,
    device,
    `${bytes(memory.free)} of ${bytes(memory.total)}`,
    description,
  ]);
  print(table(['backend', 'device', 'memory free', 'description'], rows));
}
