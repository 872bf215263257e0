/** `safelight decode`: decodes a latent in a NumPy file to an image. */
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
    .summary('decode a latent in a .npy file to an image')
    .description(
      'Decode a latent to an image: [1, C, h, w] in a .npy file, with the scale that samplers use.',
    )
    .argument(
      '<file.npy>',
      'a latent, as written by `safelight encode`; [C, h, w] and batches are accepted too',
    )
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; an existing file is replaced. Default a new file NAME.png in the current folder',
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
  const decoded = await interruptible(async (signal) => {
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
  const files = await saveImages(decoded, {
    output: flags.output,
    name: () => `${basename(file, '.npy')}.png`,
    metadata: false,
  });
  const seconds = Math.round(performance.now() - start) / 1000;
  const images = decoded.map(({ width, height }, i) => ({ file: files[i], width, height }));
  if (flags.json) return printJson({ images, seconds, warnings: warnings.list });
  for (const { file: written, width, height } of images) print(`${written}  ${width}x${height}`);
  print(`${images.length === 1 ? '1 image' : `${images.length} images`} in ${duration(seconds)}`);
}
