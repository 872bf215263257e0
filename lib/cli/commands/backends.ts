/** `safelight backends`: lists the available compute devices, and unusable ones with the reason. */
import { Command } from 'commander';
import { bytes, print, printJson, table } from '../output.js';

export function backendsCommand(): Command {
  return new Command('backends')
    .summary('list the available compute devices')
    .description('List the available compute devices, and those that cannot be used, with the reason.')
    .option('--json', 'print only JSON on stdout')
    .option('--verbose', 'print the stack trace of an error')
    .action(listBackends);
}

async function listBackends({ json }: { json?: boolean }): Promise<void> {
  const { backends } = await import('../../binding/backends.js');
  const devices = backends();
  if (json) return printJson(devices);
  const rows = devices.map(({ name, device, type, description, memory, opens, kernels, products }) => [
    name,
    device || '-',
    type,
    memory.total > 0 ? `${bytes(memory.free)} of ${bytes(memory.total)}` : '-',
    opens ? 'yes' : 'no',
    kernels === undefined ? description : `${description}, ${kernels} (${products?.join(', ')})`,
  ]);
  print(table(['backend', 'device', 'type', 'memory free', 'opens', 'description'], rows));
  for (const { opens, description, problem } of devices) if (!opens) print(`\n${description}: ${problem}`);
}
