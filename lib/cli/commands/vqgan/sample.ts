/**
 * `safelight sample` and `safelight sketch`: generate images with a latent transformer, one code index at a time.
 */
import { Command } from 'commander';
import { sampleFields } from '../../../options/declarations/autoregressive.js';
import { conditionFields } from '../../../options/declarations/text.js';
import { optionsOfFlags } from '../../../options/flags.js';
import type { SampleResult, VqganStream } from '../../../pipelines/vqgan/sample.js';
import type { DrawOptions } from '../../../pipelines/vqgan/sample-options.js';
import { addCommonOptions, withoutUndefined } from '../../model-options.js';
import { addOptionFlags } from '../../option-flags.js';
import { checkInput } from '../../output.js';
import { checkImageOutput } from '../../save-images.js';
import { addSamplingOptions, addVqganModelOptions, type VqganFlags } from '../../vqgan-options.js';
import { namedAfter, reportImage, type VqganRun, withVqgan } from './vqgan-command.js';

interface Flags extends VqganFlags {
  readonly output?: string;
  readonly class?: number;
}

const JSON_HELP =
  'print only {"images":[{"file","seed","width","height"}],"codes","usage","seconds","warnings"} on stdout';

export function sampleCommand(): Command {
  const command = new Command('sample')
    .summary('generate an image with a latent transformer')
    .description(
      'Generate an image with a latent transformer, one code index at a time. An image-conditional model gets a blank image.',
    )
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; an existing file is replaced. Default a new file safelight-SEED.png',
    );
  addOptionFlags(command, '', { class: conditionFields.class });
  addSamplingOptions(command);
  addVqganModelOptions(command);
  addCommonOptions(command, JSON_HELP);
  return command.action((flags: Flags) =>
    generate(
      flags,
      ({ seed }) => `safelight-${seed}.png`,
      ({ pipeline }, options) => pipeline.sample({ ...options, ...withoutUndefined({ class: flags.class }) }),
    ),
  );
}

export function sketchCommand(): Command {
  const command = new Command('sketch')
    .summary('generate an image from a sketch')
    .description(
      'Generate an image from a sketch (or a depth or segmentation map, depending on the model) with a latent transformer, one code index at a time.',
    )
    .argument('<image>', 'dark lines on white; resized to cover the image size and cropped to its center')
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; an existing file is replaced. Default a new file NAME-SEED.png',
    );
  addSamplingOptions(command);
  addVqganModelOptions(command);
  addCommonOptions(command, JSON_HELP);
  return command.action(async (image: string, flags: Flags) => {
    await checkInput(image, 'image');
    const name = ({ seed }: SampleResult) => namedAfter(image, `-${seed}`);
    await generate(flags, name, ({ pipeline }, options) => pipeline.sketch(image, options));
  });
}

async function generate(
  flags: Flags,
  name: (result: SampleResult) => string,
  start: (run: VqganRun, options: DrawOptions) => VqganStream,
): Promise<void> {
  const { output, json } = flags;
  const options = optionsOfFlags(sampleFields, { ...flags });
  await checkImageOutput(output, json);
  const { value, seconds, warnings } = await withVqgan(flags, (run) => {
    const { pipeline: _, ...control } = run;
    return start(run, { ...options, ...control }).result;
  });
  const { image, codes, usage } = value;
  await reportImage({
    image,
    output,
    name: name(value),
    json,
    seconds,
    warnings,
    facts: { codes, usage },
    line: `seed ${value.seed}, ${usage.used} of ${usage.vocabulary} code indices`,
  });
}
