/** `safelight backends`: the devices that can compute here, and those that cannot. */
import { Command } from 'commander';
import { bytes, print, printJson, table } from '../output.js';

export function backendsCommand(): Command {
  return new Command('backends')
    .summary('list the devices that can compute')
    .description('List the devices that can compute, and those that are there but cannot, with the reason.')
    .option('--json', 'print only JSON on stdout')
    .option('--verbose', 'show where an error comes from')
    .action(listBackends);
}

async function listBackends({ json }: { json?: boolean }): Promise<void> {
  const { backends } = await import('../../binding/backends.js');
  const found = backends();
  if (json) return printJson(found);
  const rows = found.map(({ name, device, type, description, memory, opens }) => [
    name,
    device || '-',
    type,
    memory.total > 0 ? `${bytes(memory.free)} of ${bytes(memory.total)}` : '-',
    opens ? 'yes' : 'no',
    description,
  ]);
  print(table(['backend', 'device', 'type', 'memory free', 'opens', 'description'], rows));
  for (const { opens, description, problem } of found) if (!opens) print(`\n${description}: ${problem}`);
}
