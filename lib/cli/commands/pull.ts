/** `safelight pull`: models from the Hugging Face hub and from Civitai. */
import { Command } from 'commander';
import { interruptible } from '../interrupt.js';
import { addCommonOptions, type CommonOptions, given } from '../model-options.js';
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
      'Download a model. From the hub it goes into the standard Hugging Face cache (HF_HOME, HF_HUB_CACHE, HF_TOKEN count), which Python shares; from Civitai ' +
        '(CIVITAI_API_TOKEN) into the models folder. Interrupted, the same command goes on where it stopped. The name is then a --model everywhere.',
    )
    .argument('<model>', 'owner/name, owner/name@revision, or civitai:VERSION_ID')
    .option(
      '--include <glob>',
      'files to take instead of what Safelight needs, such as "*.safetensors"; may be given again',
      (text: string, before: readonly string[]) => [...before, text],
      [],
    )
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors, such as fp16, where there are any')
    .option('--pickle', 'take .bin, .ckpt and .pt files where there is nothing better')
    .option(
      '--models <folder>',
      "where files from Civitai go; default SAFELIGHT_MODELS or Safelight's data folder",
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
    'print only {"name","path","version","files","bytes","fetched","seconds"} on stdout',
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
        ...given({ variant, pickle, models }),
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
  const came =
    result.fetched === 0
      ? 'was there already'
      : `${bytes(result.fetched)} in ${duration(seconds)} (${bytes(result.fetched / seconds)}/s)`;
  print(`${result.name}  ${bytes(result.bytes)}, ${came}\n${result.path}`);
}
