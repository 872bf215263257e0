/** `safelight generate`: generates image files from a prompt. */
import { Command } from 'commander';
import { SafelightError } from '../../errors.js';
import type { GenerateOptions } from '../../pipelines/options.js';
import type { PromptFiles } from '../../pipelines/prompt-files.js';
import type { OnWarning } from '../../warnings.js';
import { Interruption, UsageError } from '../failure.js';
import { addGenerateOptions, type GenerateFlags, toGenerateOptions } from '../generate-options.js';
import { interruptible, wasFinished } from '../interrupt.js';
import {
  addCommonOptions,
  addModelOptions,
  addPromptFiles,
  addRunOptions,
  type CommonOptions,
  type ModelOptions,
  openOptions,
  type PromptFileFlags,
  promptFiles,
  type RunOptions,
} from '../model-options.js';
import { openPipeline } from '../open-pipeline.js';
import { checkInput, collectWarnings, duration, print, printJson } from '../output.js';
import { createProgress, type ProgressDisplay } from '../progress.js';
import { checkImageOutput, saveImages } from '../save-images.js';

type Flags = GenerateFlags &
  PromptFileFlags &
  ModelOptions &
  RunOptions &
  CommonOptions & { readonly output?: string; readonly metadata: boolean };

export function generateCommand(): Command {
  const command = new Command('generate')
    .summary('generate images from a prompt')
    .description(
      'Generate images from a prompt. Ctrl-C writes the images so far; a second one ends at once and writes nothing.',
    )
    .argument(
      '[prompt]',
      "prompt in A1111's syntax: (more:1.3), [less], [from:to:when], [a|b], AND, BREAK, <lora:name:1>; for models with a text encoder",
    )
    .optionsGroup('Output:')
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; an existing file is replaced. Default a new file safelight-SEED.png',
    )
    .option('--no-metadata', 'omit the generation parameters from the PNG');
  addGenerateOptions(command);
  addPromptFiles(command);
  addModelOptions(command).option(
    '--preview-vae <path>',
    'tiny autoencoder (TAESD) that decodes previews: file or folder',
  );
  addRunOptions(command);
  addCommonOptions(
    command,
    'print only {"images":[{"file","seed","width","height"}],"seconds","warnings"} on stdout, and "defaults" of few-step models',
  );
  return command.action(generate);
}

/** Adds the names of samplers and schedules to the help text. */
export async function listSamplers(command: Command): Promise<void> {
  const { samplerNames } = await import('../../sampling/samplers/index.js');
  const { scheduleNames } = await import('../../sampling/schedules/index.js');
  const list = (names: readonly string[]) => names.join(', ').replace(/(.{1,74}(?:,|$)) ?/g, '  $1\n');
  command.addHelpText(
    'after',
    `\nSamplers:\n${list(samplerNames)}\nSchedules:\n${list(['automatic', ...scheduleNames])}`,
  );
}

async function generate(prompt: string | undefined, flags: Flags): Promise<void> {
  const options = toGenerateOptions(prompt, flags);
  await checkBeforeLoading(options, flags);
  const start = performance.now();
  const display = createProgress({ quiet: flags.quiet ?? false });
  let begun = false;
  const progress: ProgressDisplay = {
    ...display,
    show: (report) => {
      begun ||= report.phase === 'decode' || (report.phase === 'denoise' && report.step > 0);
      display.show(report);
    },
  };
  try {
    await interruptible(
      (signal) => run(options, flags, progress, signal, start),
      () => begun,
    );
  } finally {
    progress.clear();
  }
}

async function run(
  options: GenerateOptions,
  flags: Flags,
  progress: ProgressDisplay,
  signal: AbortSignal,
  start: number,
): Promise<void> {
  const warnings = collectWarnings(flags.json, progress.clear);
  const onWarning: OnWarning = ({ code, message }) => warnings.add(code, message);
  const pipeline = await openPipeline(flags, { signal, onProgress: progress.show, onWarning });
  try {
    const { images: generated, defaults } = await pipeline.generate({
      ...options,
      ...{ signal, onProgress: progress.show },
      onWarning,
    });
    const files = await saveImages(generated, {
      output: flags.output,
      name: ({ seed }) => `safelight-${seed}.png`,
      metadata: flags.metadata,
    });
    const seconds = Math.round(performance.now() - start) / 1000;
    progress.clear();
    const images = generated.map(({ seed, width, height }, i) => ({ file: files[i], seed, width, height }));
    const { precision, products } = pipeline.info;
    if (flags.json)
      printJson({
        ...{ images, ...(defaults ? { defaults } : {}), precision, products },
        ...{ seconds, warnings: warnings.list },
      });
    else {
      for (const { file, seed, width, height } of images) print(`${file}  ${width}x${height}, seed ${seed}`);
      print(`${images.length === 1 ? '1 image' : `${images.length} images`} in ${duration(seconds)}`);
    }
    if (wasFinished(signal))
      throw new Interruption('SIGINT', `${images.length} of ${options.count ?? 1} images written`);
  } finally {
    await pipeline.dispose();
  }
}

/** @throws FILE_NOT_FOUND for a folder that does not exist */
async function checkFolders({ loras, embeddings, wildcards, upscalers }: PromptFileFlags): Promise<void> {
  const { kindOf } = await import('../../files/read.js');
  for (const [flag, path] of Object.entries({ loras, embeddings, wildcards, upscalers }))
    if (path !== undefined && (await kindOf(path)) !== 'folder')
      throw new SafelightError(
        'FILE_NOT_FOUND',
        `'${path}' is not a folder; pass --${flag} an existing folder`,
      );
}

/** Validates as much as possible before the model is loaded, which may take minutes. */
export async function checkBeforeLoading(
  options: GenerateOptions,
  flags: Pick<Flags, 'output' | 'json' | keyof ModelOptions | keyof PromptFileFlags>,
): Promise<void> {
  const { resolveOptions } = await import('../../pipelines/options.js');
  const anySize = 1;
  resolveOptions(options, {}, anySize);
  // The model's config determines if a prompt or a class is required.
  if (options.prompt === undefined || options.class !== undefined) {
    const { starterModel } = await import('../../checkpoint/open.js');
    const { openModel } = await import('../../families/registry.js');
    const { condition } = await openModel(flags.model ?? starterModel, openOptions(flags));
    if (condition.kind === 'text' && options.prompt === undefined)
      throw new UsageError("missing required argument 'prompt': this model generates images from text");
    resolveOptions(options, {}, anySize, condition);
  }
  await checkImageOutput(flags.output, flags.json);
  if (typeof options.init === 'string') await checkInput(options.init, 'image');
  if (typeof options.mask === 'string') await checkInput(options.mask, 'mask');
  await checkFolders(flags);
  const { checkPrompts } = await import('../../pipelines/diffusion/prompts/check-prompts.js');
  const { openPromptFiles } = await import('../../pipelines/prompt-files.js');
  const files = openPromptFiles(promptFiles(flags));
  await checkUpscaler(options.hires?.upscaler, files);
  // Without a seed, the prompts of the generation are drawn from another random one.
  await checkPrompts(resolveOptions(options, {}, anySize, undefined, files));
}

/** @throws ADAPTER_NOT_FOUND, FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL for a file that is no upscaler model */
async function checkUpscaler(upscaler: string | undefined, files: PromptFiles): Promise<void> {
  if (upscaler === undefined) return;
  const { isUpscalerName } = await import('../../options/settings/hires.js');
  if (isUpscalerName(upscaler)) return;
  const { upscalerPath } = await import('../../pipelines/upscale/upscaler-folder.js');
  const path = await upscalerPath(upscaler, files.upscalers);
  await checkInput(path, 'upscaler model');
  const { openUpscaler } = await import('../../checkpoint/open-upscaler.js');
  await openUpscaler(path);
}
