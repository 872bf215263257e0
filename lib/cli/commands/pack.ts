/** `safelight pack`: converts weights once, so that later loads skip the conversion. */
import { Command, Option } from 'commander';
import type { StorageType } from '../../binding/types.js';
import { storageTypes } from '../../checkpoint/weights/storage.js';
import { type Precision, precisions } from '../../modules/module-options.js';
import type { PackedModule, PackOptions } from '../../tools/pack.js';
import { UsageError } from '../failure.js';
import { interruptible } from '../interrupt.js';
import { addCommonOptions, type CommonOptions, withoutUndefined } from '../model-options.js';
import { integer } from '../numbers.js';
import { bytes, duration, print, printJson, table } from '../output.js';
import { createProgress } from '../progress.js';

interface Flags extends CommonOptions {
  readonly storage?: StorageType;
  readonly precision?: Precision;
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
    .summary('convert weights once for faster loading')
    .description(
      "Store a model's weights on disk in the form in which they are used: later loads of the same model and storage map them instead of converting. " +
        'They are in $SAFELIGHT_CACHE/packed, by default ~/.cache/safelight/packed; when the model changes they are no longer used.',
    )
    .argument('[model]', 'folder (diffusers) or single file')
    .addOption(
      new Option('--storage <type>', "storage type of the weights; default the model's").choices(
        storageTypes,
      ),
    )
    .addOption(
      new Option(
        '--precision <format>',
        "also store the layout of the CPU's products in this precision, which makes the file about twice as large",
      ).choices(precisions),
    )
    .option('--verify', 'compare the model and the packed weights byte by byte with what was packed')
    .option('--list', 'list the packed weights of the model, or of all models')
    .option('--remove', 'remove the packed weights of the model, or of all models')
    .option('--vae <path>', "autoencoder that replaces the model's")
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors in a folder, such as fp16')
    .option('--ema', 'use the exponential moving average of the weights')
    .option('--threads <n>', 'CPU threads; default one per physical core', integer('--threads', 1, 256));
  addCommonOptions(
    command,
    'print only {"modules":[{"model","module","storage","precision","file","bytes","state"}],"seconds"} on stdout',
  );
  return command.action(pack);
}

async function pack(model: string | undefined, flags: Flags): Promise<void> {
  if (flags.list && flags.remove) throw new UsageError('--list and --remove cannot be combined');
  const start = performance.now();
  const modules = await run(model, flags);
  const seconds = Math.round(performance.now() - start) / 1000;
  if (flags.json) return printJson({ modules, seconds });
  if (modules.length === 0) return print('No weights are packed.');
  const rows = modules.map((m) => [
    m.model,
    m.module,
    m.storage ?? 'default',
    m.precision ?? '-',
    bytes(m.bytes),
    flags.remove ? 'removed' : m.state,
  ]);
  print(table(['model', 'module', 'storage', 'precision', 'size', 'state'], rows));
  if (!flags.list && !flags.remove)
    print(`${flags.verify ? 'packed and verified' : 'packed'} in ${duration(seconds)}`);
}

async function run(model: string | undefined, flags: Flags): Promise<readonly PackedModule[]> {
  const { packedModules, packModel, removePacked } = await import('../../tools/pack.js');
  if (flags.list) return packedModules(model);
  if (flags.remove) return removePacked(model);
  if (model === undefined) throw new UsageError("missing argument 'model' (or pass --list or --remove)");
  const { storage, precision, vae, variant, ema, threads, verify } = flags;
  const progress = createProgress({ quiet: flags.quiet ?? false });
  const onProgress = (step: number, steps: number) => progress.show({ phase: 'convert', step, steps });
  return interruptible(async (signal) => {
    try {
      return await packModel(
        model,
        withoutUndefined<PackOptions>({
          storage,
          precision,
          vae,
          variant,
          ema,
          threads,
          verify,
          signal,
          onProgress,
        }),
      );
    } finally {
      progress.clear();
    }
  });
}
