/** `safelight reconstruct`: encodes and decodes an image with an autoencoder. */
import { Command } from 'commander';
import { addCommonOptions, withoutUndefined } from '../../model-options.js';
import { checkInput } from '../../output.js';
import { checkImageOutput } from '../../save-images.js';
import {
  addSizeOptions,
  addVqganModelOptions,
  type SizeFlags,
  type VqganFlags,
} from '../../vqgan-options.js';
import { namedAfter, reportImage, withVqgan } from './vqgan-command.js';

interface Flags extends VqganFlags, SizeFlags {
  readonly output?: string;
}

export function reconstructCommand(): Command {
  const command = new Command('reconstruct')
    .summary('encode an image and decode it again')
    .description(
      'Encode an image and decode it again, and print the PSNR of the reconstruction and the code indices used.',
    )
    .argument(
      '<image>',
      "PNG, JPEG, WebP, AVIF, GIF or TIFF; cropped to multiples of the model's downsample factor",
    )
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; an existing file is replaced. Default a new file NAME-reconstructed.png',
    );
  addSizeOptions(command);
  addVqganModelOptions(command);
  addCommonOptions(
    command,
    'print only {"images":[{"file","width","height"}],"psnr","usage","seconds","warnings"} on stdout',
  );
  return command.action(reconstruct);
}

async function reconstruct(image: string, flags: Flags): Promise<void> {
  const { width, height, output, json } = flags;
  await checkInput(image, 'image');
  await checkImageOutput(output, json);
  const { value, seconds, warnings } = await withVqgan(flags, ({ pipeline, ...control }) =>
    pipeline.reconstruct(image, withoutUndefined({ width, height, ...control })),
  );
  const { psnr, usage } = value;
  const codes = usage
    ? `, ${usage.used} of ${usage.vocabulary} code indices, perplexity ${usage.perplexity.toFixed(1)}`
    : '';
  await reportImage({
    image: value.image,
    output,
    name: namedAfter(image, '-reconstructed'),
    json,
    seconds,
    warnings,
    // JSON has no infinity, so the PSNR of identical images is null.
    facts: { psnr, usage },
    line: `PSNR ${psnr.toFixed(2)} dB${codes}`,
  });
}
