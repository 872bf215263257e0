/** `safelight reconstruct`: what an autoencoder keeps of a picture. */
import { Command } from 'commander';
import { addCommonOptions, given } from '../model-options.js';
import { checkInput } from '../output.js';
import { checkImageOutput } from '../save-images.js';
import { addSizeOptions, addVqganModelOptions, type SizeFlags, type VqganFlags } from '../vqgan-options.js';
import { namedAfter, reportImage, withVqgan } from './vqgan-command.js';

interface Flags extends VqganFlags, SizeFlags {
  readonly output?: string;
}

export function reconstructCommand(): Command {
  const command = new Command('reconstruct')
    .summary('encode a picture and decode it again')
    .description(
      'Encode a picture and decode it again: what an autoencoder keeps, its PSNR, and the codes used.',
    )
    .argument('<image>', "PNG, JPEG, WebP, AVIF, GIF or TIFF; cropped to multiples of the model's factor")
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; replaced if it exists. Default NAME-reconstructed.png, never replaced',
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
  await checkInput(image, 'picture');
  await checkImageOutput(output, json);
  const { value, seconds, warnings } = await withVqgan(flags, ({ pipeline, ...control }) =>
    pipeline.reconstruct(image, given({ width, height, ...control })),
  );
  const { psnr, usage } = value;
  const codes = usage
    ? `, ${usage.used} of ${usage.vocabulary} codes, perplexity ${usage.perplexity.toFixed(1)}`
    : '';
  await reportImage({
    picture: value.image,
    output,
    name: namedAfter(image, '-reconstructed'),
    json,
    seconds,
    warnings,
    // JSON has no infinity: the same picture again is null.
    facts: { psnr, usage },
    line: `PSNR ${psnr.toFixed(2)} dB${codes}`,
  });
}
