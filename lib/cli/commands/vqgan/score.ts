/** `safelight score`: scores an image with a VQGAN model. */
import { Command } from 'commander';
import { SafelightError } from '../../../errors.js';
import { conditionFields } from '../../../options/declarations/text.js';
import type { Score } from '../../../pipelines/vqgan/score.js';
import type { RgbImage } from '../../../tensor/render.js';
import { addCommonOptions, withoutUndefined } from '../../model-options.js';
import { addOptionFlags } from '../../option-flags.js';
import { checkInput, duration, print, printJson, table } from '../../output.js';
import { checkImageOutput, saveImages } from '../../save-images.js';
import {
  addSizeOptions,
  addVqganModelOptions,
  type SizeFlags,
  type VqganFlags,
} from '../../vqgan-options.js';
import { namedAfter, withVqgan } from './vqgan-command.js';

interface Flags extends VqganFlags, SizeFlags {
  readonly output?: string;
  readonly condition?: string;
  readonly class?: number;
}

export function scoreCommand(): Command {
  const command = new Command('score')
    .summary('score an image with a VQGAN: discriminator map, losses and log-likelihood')
    .description(
      "Score an image with a VQGAN model: the discriminator's logits per patch, the training losses, and the log-likelihood of the code indices under its transformer.",
    )
    .argument(
      '<image>',
      "PNG, JPEG, WebP, AVIF, GIF or TIFF; cropped to multiples of the model's downsample factor",
    )
    .option(
      '-o, --output <file>',
      'patch map: .png, .jpg or .webp, - for stdout; an existing file is replaced. Default a new file NAME-patches.png',
    )
    .option('--condition <image>', 'conditioning image for image-conditional models; default a blank image');
  addOptionFlags(command, '', { class: conditionFields.class });
  addSizeOptions(command);
  addVqganModelOptions(command);
  addCommonOptions(
    command,
    'print only {"images":[{"file","width","height"}],"patches","losses","leftOut","logLikelihood","psnr","usage","seconds","warnings"}',
  );
  return command.action(score);
}

async function score(image: string, flags: Flags): Promise<void> {
  const { width, height, output, condition, json } = flags;
  await checkInput(image, 'image');
  if (condition !== undefined) await checkInput(condition, 'image');
  await checkImageOutput(output, json);
  const { value, seconds, warnings } = await withVqgan(flags, ({ pipeline, ...control }) => {
    if (output !== undefined && !pipeline.info.discriminator) throw noMap(pipeline.info.path);
    return pipeline.score(
      image,
      withoutUndefined({ width, height, condition, class: flags.class, ...control }),
    );
  });
  const images = value.heatMap ? [await saveMap(value.heatMap, output, namedAfter(image, '-patches'))] : [];
  if (json) return printJson({ images, ...toJson(value), seconds, warnings });
  for (const { file, width: w, height: h } of images) print(`${file}  ${w}x${h}`);
  print(report(value));
  print(`scored in ${duration(seconds)}`);
}

async function saveMap(map: RgbImage, output: string | undefined, name: string) {
  const { encodePng } = await import('../../../image/png.js');
  const image = { ...map, seed: undefined, png: () => encodePng(map) };
  const [file = ''] = await saveImages([image], { output, name: () => name, metadata: false });
  return { file, width: map.width, height: map.height };
}

function toJson({ patches, losses, leftOut, logLikelihood, psnr, usage }: Score) {
  const rows = patches && rowsOf(patches.data, patches.shape[1] ?? 1);
  const likelihood = logLikelihood && {
    total: logLikelihood.total,
    mean: logLikelihood.mean,
    condition: logLikelihood.condition,
  };
  return { patches: rows, losses, leftOut, logLikelihood: likelihood, psnr, usage };
}

function rowsOf(data: Float32Array, width: number): number[][] {
  return Array.from({ length: data.length / width }, (_, y) => [
    ...data.subarray(y * width, (y + 1) * width),
  ]);
}

function report({ patches, losses, leftOut, logLikelihood, withoutLikelihood, psnr, usage }: Score): string {
  const format = (value: number) => value.toPrecision(5);
  const rows: [string, string][] = [['PSNR', `${psnr.toFixed(2)} dB`]];
  if (usage)
    rows.push([
      'code indices',
      `${usage.used} of ${usage.vocabulary}, perplexity ${usage.perplexity.toFixed(1)}`,
    ]);
  if (patches) {
    const { min, max, mean } = patches.stats();
    rows.push([
      'patches',
      `${patches.shape.join('x')} logits, ${format(min)} to ${format(max)}, mean ${format(mean)}`,
    ]);
  }
  for (const [name, value] of Object.entries(losses)) if (value !== null) rows.push([name, format(value)]);
  const likelihood = logLikelihood
    ? `${format(logLikelihood.total)} nats, ${format(logLikelihood.mean)} per code index (condition: ${logLikelihood.condition})`
    : `none: ${withoutLikelihood}`;
  rows.push(['log-likelihood', likelihood]);
  return [table(['', ''], rows).trimStart(), ...leftOut.map((loss) => `omitted: ${loss}`)].join('\n');
}

function noMap(path: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path} has no discriminator and therefore no patch map; omit --output`,
  );
}
