/** `safelight decode`: the picture of a latent in a NumPy file. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command } from 'commander';
import type { OnWarning } from '../../warnings.js';
import { interruptible } from '../interrupt.js';
import {
  addCommonOptions,
  addModelOptions,
  addRunOptions,
  type CommonOptions,
  type ModelOptions,
  type RunOptions,
} from '../model-options.js';
import { openPipeline } from '../open-pipeline.js';
import { checkInput, collectWarnings, duration, print, printJson } from '../output.js';
import { createProgress } from '../progress.js';
import { checkImageOutput, saveImages } from '../save-images.js';

interface Flags extends ModelOptions, RunOptions, CommonOptions {
  readonly output?: string;
}

export function decodeCommand(): Command {
  const command = new Command('decode')
    .summary('make the picture of a latent in a .npy file')
    .description('Make the picture of a latent: [1, C, h, w] in a .npy file, scaled as the sampler sees it.')
    .argument(
      '<file.npy>',
      'such as `safelight encode` writes; [C, h, w] and several pictures at once are taken too',
    )
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; replaced if it exists. Default NAME.png in this folder, never replaced',
    );
  addModelOptions(command);
  addRunOptions(command);
  addCommonOptions(
    command,
    'print only {"images":[{"file","width","height"}],"seconds","warnings"} on stdout',
  );
  return command.action(decode);
}

async function decode(file: string, flags: Flags): Promise<void> {
  await checkInput(file, 'latent');
  await checkImageOutput(flags.output, flags.json);
  const { Tensor } = await import('../../tensor/tensor.js');
  const { asLatent } = await import('../latent.js');
  const latent = asLatent(Tensor.fromNpy(await readFile(file)), file);
  const start = performance.now();
  const progress = createProgress({ quiet: flags.quiet ?? false });
  const warnings = collectWarnings(flags.json, progress.clear);
  const onWarning: OnWarning = ({ code, message }) => warnings.add(code, message);
  const pictures = await interruptible(async (signal) => {
    const pipeline = await openPipeline(flags, {
      signal,
      onProgress: progress.show,
      onWarning,
      parts: ['autoencoder'],
    });
    try {
      return await pipeline.decode(latent, { signal });
    } finally {
      await pipeline.dispose();
      progress.clear();
    }
  });
  const files = await saveImages(pictures, {
    output: flags.output,
    name: () => `${basename(file, '.npy')}.png`,
    metadata: false,
  });
  const seconds = Math.round(performance.now() - start) / 1000;
  const images = pictures.map(({ width, height }, i) => ({ file: files[i], width, height }));
  if (flags.json) return printJson({ images, seconds, warnings: warnings.list });
  for (const { file: written, width, height } of images) print(`${written}  ${width}x${height}`);
  print(`${images.length === 1 ? '1 picture' : `${images.length} pictures`} in ${duration(seconds)}`);
}
