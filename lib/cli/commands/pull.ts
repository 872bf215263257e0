/** `safelight pull`: downloads models from the Hugging Face hub and Civitai. */
import { Command } from 'commander';
import { interruptible } from '../interrupt.js';
import { addCommonOptions, type CommonOptions, withoutUndefined } from '../model-options.js';
import { bytes, duration, print, printJson } from '../output.js';
import { createProgress } from '../progress.js';

interface Flags extends CommonOptions {
  readonly include: readonly string[];
  readonly variant?: string;
  readonly pickle?: boolean;
  readonly models?: string;
}

export function pullCommand(): Command {
  const command = new Command('pull')
    .summary('download a model from the Hugging Face hub or Civitai')
    .description(
      'Download a model. Models from the hub are stored in the standard Hugging Face cache (HF_HOME, HF_HUB_CACHE and HF_TOKEN apply), which is shared with Python; ' +
        'models from Civitai (CIVITAI_API_TOKEN) in the models folder, with the trigger words of a LoRA in NAME.json. Repeating an interrupted command resumes the download. All commands accept the name as --model.',
    )
    .argument('<model>', 'owner/name, owner/name@revision, or civitai:VERSION_ID')
    .option(
      '--include <glob>',
      'files to download instead of those that Safelight needs, such as "*.safetensors"; repeatable',
      (text: string, before: readonly string[]) => [...before, text],
      [],
    )
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors, such as fp16, if there are any')
    .option('--pickle', 'accept .bin, .ckpt and .pt files if there are no safer formats')
    .option(
      '--models <folder>',
      "folder for files from Civitai; default SAFELIGHT_MODELS or Safelight's data folder",
    )
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ safelight pull stable-diffusion-v1-5/stable-diffusion-v1-5 --variant fp16\n' +
        '  $ safelight pull stabilityai/sd-turbo --include sd_turbo.safetensors\n' +
        '  $ safelight pull civitai:128713\n' +
        '  $ safelight generate "a castle" --model stabilityai/sd-turbo',
    );
  addCommonOptions(
    command,
    'print only {"name","path","version","files","bytes","fetched","seconds"} on stdout, and "triggerWords" for a LoRA',
  );
  return command.action(pull);
}

async function pull(name: string, flags: Flags): Promise<void> {
  const { pullModel } = await import('../../hub/index.js');
  const start = performance.now();
  const { include, variant, pickle, models, quiet = false } = flags;
  const progress = createProgress({ quiet });
  const result = await interruptible(async (signal) => {
    try {
      return await pullModel(name, {
        ...withoutUndefined({ variant, pickle, models }),
        include,
        signal,
        onProgress: ({ bytes: step, total, rate, left }) =>
          progress.show({ phase: 'pull', step, steps: total, rate, left }),
        onNote: (note) => {
          progress.clear();
          if (!quiet) process.stderr.write(`safelight: ${note}\n`);
        },
      });
    } finally {
      progress.clear();
    }
  });
  const seconds = Math.round(performance.now() - start) / 1000;
  if (flags.json) return printJson({ ...result, seconds });
  const summary =
    result.fetched === 0
      ? 'already downloaded'
      : `${bytes(result.fetched)} in ${duration(seconds)} (${bytes(result.fetched / seconds)}/s)`;
  const words = result.triggerWords ?? [];
  print(`${result.name}  ${bytes(result.bytes)}, ${summary}
${result.path}${words.length > 0 ? `\nTrigger words: ${words.join(', ')}` : ''}`);
}
