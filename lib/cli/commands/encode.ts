/** `safelight encode`: encodes an image to a latent in a NumPy file. */
import { randomInt } from 'node:crypto';
import { Command, Option } from 'commander';
import { apiLimits } from '../../options/limits.js';
import type { OnWarning } from '../../warnings.js';
import { UsageError } from '../failure.js';
import { interruptible } from '../interrupt.js';
import {
  addCommonOptions,
  addModelOptions,
  addRunOptions,
  type CommonOptions,
  type ModelOptions,
  type RunOptions,
  withoutUndefined,
} from '../model-options.js';
import { integer, seedNumber } from '../numbers.js';
import { openPipeline } from '../open-pipeline.js';
import { checkInput, checkOutput, collectWarnings, duration, print, printJson } from '../output.js';
import { createProgress } from '../progress.js';

interface Flags extends ModelOptions, RunOptions, CommonOptions {
  readonly output: string;
  readonly width?: number;
  readonly height?: number;
  readonly posterior?: 'mean' | 'sample';
  readonly seed?: number;
  readonly rng?: 'cpu' | 'cuda';
}

const side = (option: string) => integer(option, 1, apiLimits.maxSide);

export function encodeCommand(): Command {
  const command = new Command('encode')
    .summary('encode an image to a latent in a .npy file')
    .description(
      'Encode an image to a latent with the scale that samplers use: f32 [1, C, h, w] in a .npy file.',
    )
    .argument('<image>', 'PNG, JPEG, WebP, AVIF, GIF or TIFF')
    .requiredOption('-o, --output <file.npy>', '- for stdout; an existing file is replaced')
    .option(
      '-W, --width <n>',
      "in pixels; default the image's, limited to the model's pixel count",
      side('--width'),
    )
    .option('-H, --height <n>', 'see --width', side('--height'))
    .addOption(
      new Option(
        '--posterior <kind>',
        "the mean of the encoder's distribution (default) or a sample",
      ).choices(['mean', 'sample']),
    )
    .option(
      '-s, --seed <n>',
      'seed of the sample, -1 for a random one, which is printed; default 0',
      seedNumber('--seed'),
    )
    .addOption(
      new Option(
        '--rng <kind>',
        "random number generator of the sample: PyTorch's CPU (default) or CUDA generator",
      ).choices(['cpu', 'cuda']),
    );
  addModelOptions(command);
  addRunOptions(command);
  addCommonOptions(
    command,
    'print only {"file","shape","seconds","warnings"} on stdout, with the "seed" of a sample',
  );
  return command.action(encode);
}

async function encode(image: string, flags: Flags): Promise<void> {
  const { output, width, height, posterior, rng } = flags;
  if (flags.seed !== undefined && posterior !== 'sample')
    throw new UsageError('--seed requires --posterior sample');
  // Chosen here so that it can be printed; the latent does not contain it.
  const seed = flags.seed === -1 ? randomInt(2 ** 32) : flags.seed;
  await checkInput(image, 'image');
  await checkOutput(output, flags.json);
  const start = performance.now();
  const progress = createProgress({ quiet: flags.quiet ?? false });
  const warnings = collectWarnings(flags.json, progress.clear);
  const onWarning: OnWarning = ({ code, message }) => warnings.add(code, message);
  const latent = await interruptible(async (signal) => {
    const pipeline = await openPipeline(flags, {
      signal,
      onProgress: progress.show,
      onWarning,
      parts: ['autoencoder'],
    });
    try {
      return await pipeline.encode(
        image,
        withoutUndefined({ width, height, posterior, seed, rng, signal, onWarning }),
      );
    } finally {
      await pipeline.dispose();
      progress.clear();
    }
  });
  const { writeOutput } = await import('../../files/write.js');
  await writeOutput(output, latent.toNpy());
  const seconds = Math.round(performance.now() - start) / 1000;
  const sample = posterior === 'sample' ? { seed: seed ?? 0 } : {};
  if (flags.json)
    return printJson({ file: output, shape: latent.shape, ...sample, seconds, warnings: warnings.list });
  const seedText = sample.seed === undefined ? '' : `, seed ${sample.seed}`;
  print(`${output}  [${latent.shape.join(', ')}]${seedText} in ${duration(seconds)}`);
}
