/** `safelight encode`: a picture's latent as a NumPy file. */
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
  given,
  type ModelOptions,
  type RunOptions,
} from '../model-options.js';
import { seedNumber, wholeNumber } from '../numbers.js';
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

const side = (option: string) => wholeNumber(option, 1, apiLimits.maxSide);

export function encodeCommand(): Command {
  const command = new Command('encode')
    .summary("write a picture's latent as .npy")
    .description("Write a picture's latent, as the sampler sees it: f32 [1, C, h, w] in a .npy file.")
    .argument('<image>', 'PNG, JPEG, WebP, AVIF, GIF or TIFF')
    .requiredOption('-o, --output <file.npy>', '- for stdout; replaced if it exists')
    .option(
      '-W, --width <n>',
      "pixels; default the image's, at most the model's pixel count",
      side('--width'),
    )
    .option('-H, --height <n>', 'likewise', side('--height'))
    .addOption(
      new Option('--posterior <kind>', "the encoder's mean (default) or a sample").choices([
        'mean',
        'sample',
      ]),
    )
    .option('-s, --seed <n>', 'of the sample, -1 for a random one, printed; default 0', seedNumber('--seed'))
    .addOption(
      new Option('--rng <kind>', "the sample's numbers as PyTorch's CPU (default) or CUDA generator").choices(
        ['cpu', 'cuda'],
      ),
    );
  addModelOptions(command);
  addRunOptions(command);
  addCommonOptions(
    command,
    'print only {"file","shape","seconds","warnings"} on stdout, and the "seed" of a sample',
  );
  return command.action(encode);
}

async function encode(image: string, flags: Flags): Promise<void> {
  const { output, width, height, posterior, rng } = flags;
  if (flags.seed !== undefined && posterior !== 'sample')
    throw new UsageError('--seed is for --posterior sample');
  // Drawn here, as the latent does not tell it.
  const seed = flags.seed === -1 ? randomInt(2 ** 32) : flags.seed;
  await checkInput(image, 'picture');
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
      return await pipeline.encode(image, given({ width, height, posterior, seed, rng, signal, onWarning }));
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
  const drawn = sample.seed === undefined ? '' : `, seed ${sample.seed}`;
  print(`${output}  [${latent.shape.join(', ')}]${drawn} in ${duration(seconds)}`);
}
