/** `safelight pack`: weights converted once, for every later load. */
import { Command, Option } from 'commander';
import type { StorageType } from '../../binding/types.js';
import { storageTypes } from '../../checkpoint/weights/storage.js';
import type { PackedModule, PackOptions } from '../../tools/pack.js';
import { UsageError } from '../failure.js';
import { interruptible } from '../interrupt.js';
import { addCommonOptions, type CommonOptions, given } from '../model-options.js';
import { wholeNumber } from '../numbers.js';
import { bytes, duration, print, printJson, table } from '../output.js';
import { createProgress } from '../progress.js';

interface Flags extends CommonOptions {
  readonly storage?: StorageType;
  readonly vae?: string;
  readonly variant?: string;
  readonly ema?: boolean;
  readonly threads?: number;
  readonly verify?: boolean;
  readonly list?: boolean;
  readonly remove?: boolean;
}

export function packCommand(): Command {
  const command = new Command('pack')
    .summary('convert weights once, for quick loading')
    .description(
      "Keep a model's weights on disk as they are used: loads with the same model and storage find them and map them, and read nothing. " +
        'They are in $SAFELIGHT_CACHE/packed, by default ~/.cache/safelight/packed; when the model changes they are not used any more.',
    )
    .argument('[model]', 'folder (diffusers) or single file')
    .addOption(
      new Option('--storage <type>', "how weights are kept; default the model's").choices(storageTypes),
    )
    .option('--verify', 'compare model and packed weights, byte for byte, with what was packed')
    .option('--list', 'what is packed, of the model or of all')
    .option('--remove', 'remove what is packed, of the model or of all')
    .option('--vae <path>', "autoencoder instead of the model's")
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors of a folder, such as fp16')
    .option('--ema', "the moving average of a file's weights instead of them")
    .option('--threads <n>', 'CPU threads; default one a physical core', wholeNumber('--threads', 1, 256));
  addCommonOptions(
    command,
    'print only {"modules":[{"model","module","storage","file","bytes","state"}],"seconds"} on stdout',
  );
  return command.action(pack);
}

async function pack(model: string | undefined, flags: Flags): Promise<void> {
  if (flags.list && flags.remove) throw new UsageError('--list and --remove exclude each other');
  const start = performance.now();
  const modules = await work(model, flags);
  const seconds = Math.round(performance.now() - start) / 1000;
  if (flags.json) return printJson({ modules, seconds });
  if (modules.length === 0) return print('nothing is packed');
  const rows = modules.map((m) => [
    m.model,
    m.module,
    m.storage ?? 'own',
    bytes(m.bytes),
    flags.remove ? 'removed' : m.state,
  ]);
  print(table(['model', 'module', 'storage', 'size', 'state'], rows));
  if (!flags.list && !flags.remove)
    print(`${flags.verify ? 'packed and verified' : 'packed'} in ${duration(seconds)}`);
}

async function work(model: string | undefined, flags: Flags): Promise<readonly PackedModule[]> {
  const { packedModules, packModel, removePacked } = await import('../../tools/pack.js');
  if (flags.list) return packedModules(model);
  if (flags.remove) return removePacked(model);
  if (model === undefined) throw new UsageError('which model? (or --list, --remove)');
  const { storage, vae, variant, ema, threads, verify } = flags;
  const progress = createProgress({ quiet: flags.quiet ?? false });
  const onProgress = (step: number, steps: number) => progress.show({ phase: 'convert', step, steps });
  return interruptible(async (signal) => {
    try {
      return await packModel(
        model,
        given<PackOptions>({ storage, vae, variant, ema, threads, verify, signal, onProgress }),
      );
    } finally {
      progress.clear();
    }
  });
}
