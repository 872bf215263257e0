/** `safelight convert`: any readable model as one GGUF file. */
import { Command, Option } from 'commander';
import type { StorageType } from '../../binding/types.js';
import { storageTypes } from '../../checkpoint/weights/storage.js';
import type { ConvertOptions, ConvertResult } from '../../tools/convert.js';
import { type ConvertStorage, convertStorages, type Keep } from '../../tools/convert-types.js';
import { UsageError } from '../failure.js';
import { interruptible } from '../interrupt.js';
import { addCommonOptions, type CommonOptions, given } from '../model-options.js';
import { wholeNumber } from '../numbers.js';
import { bytes, checkOutput, duration, print, printJson, table } from '../output.js';
import { createProgress } from '../progress.js';

interface Flags extends CommonOptions {
  readonly storage?: ConvertStorage;
  readonly keep: readonly Keep[];
  readonly vae?: string;
  readonly variant?: string;
  readonly prediction?: 'eps' | 'v' | 'x0';
  readonly ema?: boolean;
  readonly threads?: number;
}

export function convertCommand(): Command {
  const command = new Command('convert')
    .summary('write a model as one GGUF file, smaller if you like')
    .description(
      'Write a model as one GGUF file: folder, single file or GGUF in, the same model out, its weights in another type. ' +
        'Norms and biases stay f32; filters, word tables and embeddings of time stay f16.',
    )
    .argument('<in>', 'folder (diffusers), single file, or one component of a model')
    .argument('<out.gguf>', '- for stdout; replaced if it exists, once the new file is complete')
    .addOption(
      new Option('--storage <type>', 'type of the large matrices; default f16').choices(convertStorages),
    )
    .option(
      '--keep <pattern=type>',
      `keep tensors whose whole name (CompVis', as written) matches in ${storageTypes.join(', ')}; * is any letters, ? one; ` +
        'may be given again, the last that matches counts',
      collectKeep,
      [],
    )
    .option('--vae <path>', "autoencoder instead of the model's: file or folder")
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors of a folder, such as fp16')
    .option('--ema', "the moving average of a file's weights (model_ema.*) instead of them")
    .addOption(
      new Option('--prediction <kind>', 'what the U-Net predicts, if the model does not say').choices([
        'eps',
        'v',
        'x0',
      ]),
    )
    .option('--threads <n>', 'CPU threads; default one a physical core', wholeNumber('--threads', 1, 256))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ safelight convert sd15.safetensors sd15-q8_0.gguf --storage q8_0\n' +
        "  $ safelight convert sdxl/ sdxl.gguf --storage q4_K --keep '*.attn2.*=q8_0' --keep '*.emb_layers.*=f16'",
    );
  addCommonOptions(command, 'print only {"file","bytes","family","tensors","types","seconds"} on stdout');
  return command.action(convert);
}

async function convert(input: string, output: string, flags: Flags): Promise<void> {
  if (output !== '-' && !output.toLowerCase().endsWith('.gguf'))
    throw new UsageError(`the output '${output}' must end in .gguf, or be - for stdout`);
  await checkOutput(output, flags.json);
  const { convertModel } = await import('../../tools/convert.js');
  const start = performance.now();
  const progress = createProgress({ quiet: flags.quiet ?? false });
  const { storage, keep, vae, variant, prediction, ema, threads } = flags;
  const result = await interruptible(async (signal) => {
    const onProgress = (step: number, steps: number) => progress.show({ phase: 'convert', step, steps });
    try {
      return await convertModel(
        input,
        output,
        given<ConvertOptions>({ storage, keep, vae, variant, prediction, ema, threads, signal, onProgress }),
      );
    } finally {
      progress.clear();
    }
  });
  const seconds = Math.round(performance.now() - start) / 1000;
  const { path: _, ...told } = result;
  if (flags.json) return printJson({ file: output, ...told, seconds });
  print(`${output}  ${bytes(result.bytes)} in ${duration(seconds)}\n\n${typeTable(result)}`);
}

function typeTable({ types }: ConvertResult): string {
  return table(
    ['type', 'tensors', 'size'],
    types.map(({ type, tensors, bytes: size }) => [type, `${tensors}`, bytes(size)]),
  );
}

/** `PATTERN=TYPE`; the pattern may hold `=` itself. */
function collectKeep(text: string, before: readonly Keep[]): Keep[] {
  const at = text.lastIndexOf('=');
  const [pattern, type] = [text.slice(0, at), text.slice(at + 1) as StorageType];
  if (at <= 0 || !storageTypes.includes(type)) {
    throw new UsageError(
      `--keep takes PATTERN=TYPE with a type of ${storageTypes.join(', ')} (such as '*.attn2.*=q8_0'), not '${text}'`,
    );
  }
  return [...before, { pattern, type }];
}
