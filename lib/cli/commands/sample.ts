/** `safelight sample` and `safelight sketch`: pictures that a transformer writes code by code. */
import { Command } from 'commander';
import { sampleFields } from '../../options/declarations/autoregressive.js';
import { conditionFields } from '../../options/declarations/text.js';
import { optionsOfFlags } from '../../options/flags.js';
import type { SampleResult, VqganStream } from '../../pipelines/vqgan/sample.js';
import type { DrawOptions } from '../../pipelines/vqgan/sample-options.js';
import { addCommonOptions, given } from '../model-options.js';
import { addOptionFlags } from '../option-flags.js';
import { checkInput } from '../output.js';
import { checkImageOutput } from '../save-images.js';
import { addDrawOptions, addVqganModelOptions, type VqganFlags } from '../vqgan-options.js';
import { namedAfter, reportImage, type VqganRun, withVqgan } from './vqgan-command.js';

interface Flags extends VqganFlags {
  readonly output?: string;
  readonly class?: number;
}

const JSON_HELP =
  'print only {"images":[{"file","seed","width","height"}],"codes","usage","seconds","warnings"} on stdout';

export function sampleCommand(): Command {
  const command = new Command('sample')
    .summary('let a transformer write a picture, code by code')
    .description(
      'Let a latent transformer write a picture, code by code. A model that draws after sketches gets an empty page.',
    )
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; replaced if it exists. Default safelight-SEED.png, never replaced',
    );
  addOptionFlags(command, '', { class: conditionFields.class });
  addDrawOptions(command);
  addVqganModelOptions(command);
  addCommonOptions(command, JSON_HELP);
  return command.action((flags: Flags) =>
    draw(
      flags,
      ({ seed }) => `safelight-${seed}.png`,
      ({ pipeline }, options) => pipeline.sample({ ...options, ...given({ class: flags.class }) }),
    ),
  );
}

export function sketchCommand(): Command {
  const command = new Command('sketch')
    .summary('make a picture after a drawing')
    .description(
      'Make a picture after a drawing (or a map of depths or classes, of models that take one): a transformer writes it code by code.',
    )
    .argument('<image>', 'dark lines on white; resized to cover the size, and its middle taken')
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; replaced if it exists. Default NAME-SEED.png, never replaced',
    );
  addDrawOptions(command);
  addVqganModelOptions(command);
  addCommonOptions(command, JSON_HELP);
  return command.action(async (image: string, flags: Flags) => {
    await checkInput(image, 'picture');
    const name = ({ seed }: SampleResult) => namedAfter(image, `-${seed}`);
    await draw(flags, name, ({ pipeline }, options) => pipeline.sketch(image, options));
  });
}

async function draw(
  flags: Flags,
  name: (result: SampleResult) => string,
  begin: (work: VqganRun, options: DrawOptions) => VqganStream,
): Promise<void> {
  const { output, json } = flags;
  const options = optionsOfFlags(sampleFields, { ...flags });
  await checkImageOutput(output, json);
  const { value, seconds, warnings } = await withVqgan(flags, (work) => {
    const { pipeline: _, ...control } = work;
    return begin(work, { ...options, ...control }).result;
  });
  const { image, codes, usage } = value;
  await reportImage({
    picture: image,
    output,
    name: name(value),
    json,
    seconds,
    warnings,
    facts: { codes, usage },
    line: `seed ${value.seed}, ${usage.used} of ${usage.vocabulary} codes`,
  });
}
