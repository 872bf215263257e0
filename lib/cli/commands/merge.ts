/** `safelight merge`: merges two or three models into one file. */
import { Command, Option } from 'commander';
import { storageTypes } from '../../checkpoint/weights/storage.js';
import { convertStorages } from '../../tools/convert-types.js';
import type { MergeOptions, MergeResult } from '../../tools/merge.js';
import type { MergeMethod } from '../../tools/merge-plan.js';
import { UsageError } from '../failure.js';
import { interruptible } from '../interrupt.js';
import { addCommonOptions, withoutUndefined } from '../model-options.js';
import { decimal, integer } from '../numbers.js';
import { bytes, checkOutput, duration, print, printJson } from '../output.js';
import { createProgress } from '../progress.js';
import { collectKeep, typeTable, type WriteFlags } from './convert.js';

interface Flags extends WriteFlags {
  readonly method: MergeMethod;
  readonly alpha: number;
  readonly output?: string;
}

export function mergeCommand(): Command {
  const command = new Command('merge')
    .summary('merge two or three models of one family into one file')
    .description(
      'Merge models of one family, or single components of one kind, into one file. The models may differ in format, tensor ' +
        "names and types. Everything that is not a weight is A's. If A is an inpainting model, its additional input channels " +
        'keep their weights.',
    )
    .argument('<a>', 'folder (diffusers), single file, or one component of a model')
    .argument('<b>')
    .argument('[c]', 'for add-difference')
    .addOption(
      new Option('--method <name>', 'weighted-sum: A*(1-alpha) + B*alpha; add-difference: A + (B-C)*alpha')
        .choices(['weighted-sum', 'add-difference'])
        .default('weighted-sum'),
    )
    .option('--alpha <n>', 'multiplier, -2 to 2', decimal('--alpha', -2, 2), 0.5)
    .option(
      '-o, --output <file>',
      '.gguf or .safetensors, - for GGUF on stdout; an existing file is replaced once the new one is complete',
    )
    .addOption(
      new Option('--storage <type>', 'storage type of the large matrices; default f16').choices(
        convertStorages,
      ),
    )
    .option(
      '--keep <pattern=type>',
      `keep tensors whose full CompVis name matches the pattern in ${storageTypes.join(', ')}; repeatable, the last match applies`,
      collectKeep,
      [],
    )
    .option('--vae <path>', 'autoencoder of the output, which is then not merged: file or folder')
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors in folders, such as fp16')
    .option('--ema', 'use the exponential moving average of the weights (model_ema.*)')
    .addOption(
      new Option('--prediction <kind>', 'prediction type of A, if it does not specify it').choices([
        'eps',
        'v',
        'x0',
      ]),
    )
    .option('--threads <n>', 'CPU threads; default one per physical core', integer('--threads', 1, 256))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ safelight merge photo.safetensors ink.safetensors --alpha 0.3 --output mix.safetensors\n' +
        '  $ safelight merge sd15-inpainting.ckpt ink.safetensors sd15.safetensors --method add-difference --alpha 1 --output ink-inpainting.gguf',
    );
  addCommonOptions(
    command,
    'print only {"file","bytes","family","tensors","types","merged","kept","seconds"} on stdout',
  );
  return command.action(merge);
}

async function merge(a: string, b: string, c: string | undefined, flags: Flags): Promise<void> {
  const { output, json, quiet, alpha, method, storage, keep, vae, variant, prediction, ema, threads } = flags;
  if (output === undefined) throw new UsageError('missing --output: name the file to write');
  if (output !== '-' && !/\.(gguf|safetensors)$/i.test(output))
    throw new UsageError(`the output '${output}' must end in .gguf or .safetensors, or be - for stdout`);
  if (method === 'add-difference' && c === undefined)
    throw new UsageError("missing required argument 'c': add-difference adds the difference of B and C to A");
  if (method === 'weighted-sum' && c !== undefined)
    throw new UsageError('weighted-sum merges two models; use --method add-difference for three');
  await checkOutput(output, json);
  const { mergeModels } = await import('../../tools/merge.js');
  const start = performance.now();
  const progress = createProgress({ quiet: quiet ?? false });
  const result = await interruptible(async (signal) => {
    const onProgress = (step: number, steps: number) => progress.show({ phase: 'convert', step, steps });
    const given = { alpha, method, storage, keep, vae, variant, prediction, ema, threads };
    try {
      return await mergeModels(
        [a, b, ...(c === undefined ? [] : [c])],
        output,
        withoutUndefined<MergeOptions>({ ...given, signal, onProgress }),
      );
    } finally {
      progress.clear();
    }
  });
  const seconds = Math.round(performance.now() - start) / 1000;
  const { path: _, ...summary } = result;
  if (json) return printJson({ file: output, ...summary, seconds });
  print(
    `${output}  ${bytes(result.bytes)} in ${duration(seconds)}\n\n${typeTable(result)}\n\n${countsOf(result)}`,
  );
}

function countsOf({ merged, kept }: MergeResult): string {
  const unchanged = kept.length === 0 ? '' : `; ${kept.length} that only A has are unchanged`;
  return `${merged} parameters merged${unchanged}`;
}
