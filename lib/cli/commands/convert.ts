/** `safelight convert`: converts a model to a single GGUF file. */
import { Command, Option } from 'commander';
import { type LoraOption, parseLora } from '../../adapters/lora-options.js';
import type { StorageType } from '../../binding/types.js';
import { storageTypes } from '../../checkpoint/weights/storage.js';
import type { ConvertOptions, ConvertResult } from '../../tools/convert.js';
import { type ConvertStorage, convertStorages, type Keep } from '../../tools/convert-types.js';
import { UsageError } from '../failure.js';
import { interruptible } from '../interrupt.js';
import { addCommonOptions, type CommonOptions, withoutUndefined } from '../model-options.js';
import { integer } from '../numbers.js';
import { bytes, checkOutput, collectWarnings, duration, print, printJson, table } from '../output.js';
import { createProgress } from '../progress.js';

/** Options of a written model. */
export interface WriteFlags extends CommonOptions {
  readonly storage?: ConvertStorage;
  readonly keep: readonly Keep[];
  readonly vae?: string;
  readonly variant?: string;
  readonly prediction?: 'eps' | 'v' | 'x0';
  readonly ema?: boolean;
  readonly threads?: number;
}

interface Flags extends WriteFlags {
  readonly lora: readonly LoraOption[];
}

export function convertCommand(): Command {
  const command = new Command('convert')
    .summary('convert a model to a single GGUF file, optionally quantized')
    .description(
      'Convert a model (folder, single file or GGUF) to a single GGUF file with its weights in another storage type. ' +
        'Norms and biases stay f32; convolution filters, token embeddings and time embeddings stay f16.',
    )
    .argument('<in>', 'folder (diffusers), single file, or one component of a model')
    .argument('<out.gguf>', '- for stdout; an existing file is replaced once the new one is complete')
    .addOption(
      new Option('--storage <type>', 'storage type of the large matrices; default f16').choices(
        convertStorages,
      ),
    )
    .option(
      '--keep <pattern=type>',
      `keep tensors whose full CompVis name matches the pattern in ${storageTypes.join(', ')}; * matches any characters, ? one; ` +
        'repeatable, the last match applies',
      collectKeep,
      [],
    )
    .option(
      '--lora <file[:n[:n]]>',
      'merge a LoRA into the weights, at a weight for the U-Net and one for the text encoders; default 1; repeatable',
      (text: string, before: readonly LoraOption[]) => [...before, parseLora(text)],
      [],
    )
    .option('--vae <path>', "autoencoder that replaces the model's: file or folder")
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors in a folder, such as fp16')
    .option('--ema', 'use the exponential moving average of the weights (model_ema.*)')
    .addOption(
      new Option(
        '--prediction <kind>',
        'prediction type of the U-Net, if the model does not specify it',
      ).choices(['eps', 'v', 'x0']),
    )
    .option('--threads <n>', 'CPU threads; default one per physical core', integer('--threads', 1, 256))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ safelight convert sd15.safetensors sd15-q8_0.gguf --storage q8_0\n' +
        "  $ safelight convert sdxl/ sdxl.gguf --storage q4_K --keep '*.attn2.*=q8_0' --keep '*.emb_layers.*=f16'\n" +
        '  $ safelight convert sd15.safetensors sd15-ink.gguf --lora ink.safetensors:0.8',
    );
  addCommonOptions(
    command,
    'print only {"file","bytes","family","tensors","types","warnings","seconds"} on stdout',
  );
  return command.action(convert);
}

async function convert(input: string, output: string, flags: Flags): Promise<void> {
  if (output !== '-' && !output.toLowerCase().endsWith('.gguf'))
    throw new UsageError(`the output '${output}' must end in .gguf or be - for stdout`);
  await checkOutput(output, flags.json);
  const { convertModel } = await import('../../tools/convert.js');
  const start = performance.now();
  const progress = createProgress({ quiet: flags.quiet ?? false });
  const { storage, keep, lora: loras, vae, variant, prediction, ema, threads } = flags;
  const warnings = collectWarnings(flags.json, progress.clear);
  const result = await interruptible(async (signal) => {
    const onProgress = (step: number, steps: number) => progress.show({ phase: 'convert', step, steps });
    try {
      return await convertModel(
        input,
        output,
        withoutUndefined<ConvertOptions>({
          storage,
          keep,
          loras,
          vae,
          variant,
          prediction,
          ema,
          threads,
          signal,
          onProgress,
          onWarning: ({ code, message }) => warnings.add(code, message),
        }),
      );
    } finally {
      progress.clear();
    }
  });
  const seconds = Math.round(performance.now() - start) / 1000;
  const { path: _, ...summary } = result;
  if (flags.json) return printJson({ file: output, ...summary, seconds });
  print(`${output}  ${bytes(result.bytes)} in ${duration(seconds)}\n\n${typeTable(result)}`);
}

/** Formats the number and size of the tensors of each type. */
export function typeTable({ types }: Pick<ConvertResult, 'types'>): string {
  return table(
    ['type', 'tensors', 'size'],
    types.map(({ type, tensors, bytes: size }) => [type, `${tensors}`, bytes(size)]),
  );
}

/** Parses `PATTERN=TYPE`; the pattern may contain `=`. */
export function collectKeep(text: string, before: readonly Keep[]): Keep[] {
  const at = text.lastIndexOf('=');
  const [pattern, type] = [text.slice(0, at), text.slice(at + 1) as StorageType];
  if (at <= 0 || !storageTypes.includes(type)) {
    throw new UsageError(
      `Expected --keep to be PATTERN=TYPE with a type of ${storageTypes.join(', ')} (such as '*.attn2.*=q8_0'), received '${text}'`,
    );
  }
  return [...before, { pattern, type }];
}
