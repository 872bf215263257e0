/** `safelight build`: compiles the native binary from the ggml source that ships with the package. */
import { Command, Option } from 'commander';
import type { BackendName } from '../../binding/types.js';
import { UsageError } from '../failure.js';

type Choice = Partial<Record<Exclude<BackendName, 'cpu'>, boolean>>;

export function buildCommand(): Command {
  return new Command('build')
    .summary('compile the native binary for this machine')
    .description('Compile the native binary for this machine (requires CMake and a C++20 compiler).')
    .addOption(new Option('--cuda', 'for NVIDIA GPUs (requires the CUDA toolkit)'))
    .addOption(new Option('--metal', 'for Apple GPUs'))
    .addOption(new Option('--vulkan', 'for GPUs with Vulkan (requires the Vulkan SDK)'))
    .option('--verbose', 'print the stack trace of an error')
    .action(build);
}

async function build(options: Choice): Promise<void> {
  const chosen = (['cuda', 'metal', 'vulkan'] as const).filter((name) => options[name]);
  if (chosen.length > 1)
    throw new UsageError(`choose only one of --${chosen.join(' and --')}: a binary has one GPU backend`);
  const { buildNative } = await import('../../binding/build.js');
  const backend = chosen[0] ?? 'cpu';
  await buildNative({ backend });
  process.stderr.write(`Built for ${backend}.\n`);
}
