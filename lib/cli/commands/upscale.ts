/** `safelight upscale`: enlarges or restores an image with a model. */
import { basename, extname } from 'node:path';
import { Command } from 'commander';
import type { UpscaledImage } from '../../pipelines/upscale/upscaled-image.js';
import { UsageError } from '../failure.js';
import { interruptible } from '../interrupt.js';
import {
  addCommonOptions,
  addRunOptions,
  type CommonOptions,
  type RunOptions,
  runOptions,
} from '../model-options.js';
import { decimal, integer } from '../numbers.js';
import { checkInput, collectWarnings, duration, print, printJson } from '../output.js';
import { createProgress } from '../progress.js';
import { checkImageOutput } from '../save-images.js';

interface Flags extends RunOptions, CommonOptions {
  readonly model?: string;
  readonly upscalers?: string;
  readonly output?: string;
  readonly scale?: number;
  readonly tile?: number;
  readonly overlap?: number;
}

export function upscaleCommand(): Command {
  const command = new Command('upscale')
    .summary('enlarge or restore an image with a model')
    .description(
      'Enlarge or restore an image with an ESRGAN, Real-ESRGAN, SwinIR or DAT model. Alpha is kept.',
    )
    .argument('<image>', 'PNG, JPEG, WebP, AVIF, GIF or TIFF')
    .option(
      '-m, --model <file>',
      'the model, a .pth, .pt or .safetensors file, or its name in the folder of upscalers',
    )
    .option('--upscalers <folder>', 'models for --model by their names; searched recursively')
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp, - for stdout; an existing file is replaced. Default a new file NAME-upscaled.png',
    )
    .option(
      '--scale <factor>',
      "factor of the sides; another than the model's resizes its result with Lanczos. Default the model's",
      decimal('--scale', 1 / 16, 16),
    )
    .optionsGroup('Tiles:')
    .option(
      '--tile <pixels>',
      'side above which the image is processed in tiles, 0 for no tiles; default 192, 96 with --memory lean',
      integer('--tile', 0, 2 ** 16),
    )
    .option(
      '--overlap <pixels>',
      'smallest overlap of neighbouring tiles; default 32',
      integer('--overlap', 0, 2 ** 16),
    );
  addRunOptions(command);
  addCommonOptions(
    command,
    'print only {"images":[{"file","width","height"}],"model","seconds","warnings"} on stdout',
  );
  return command.action(upscale);
}

async function upscale(path: string, flags: Flags): Promise<void> {
  const { model, upscalers, output, scale, tile, overlap, json, quiet } = flags;
  if (model === undefined) throw new UsageError('missing --model, the file of the model');
  await checkInput(path, 'image');
  await checkImageOutput(output, json);
  const { Upscaler } = await import('../../pipelines/upscale/upscaler.js');
  const { UpscalerFolder, upscalerPath } = await import('../../pipelines/upscale/upscaler-folder.js');
  const file = upscalers === undefined ? model : await upscalerPath(model, new UpscalerFolder(upscalers));
  const start = performance.now();
  const progress = createProgress({ quiet: quiet ?? false });
  const warnings = collectWarnings(json, progress.clear);
  try {
    const { image, info } = await interruptible(async (signal) => {
      const control = { signal, onProgress: progress.show };
      const upscaler = await Upscaler.load(file, {
        ...runOptions(flags),
        ...control,
        onWarning: ({ code, message }) => warnings.add(code, message),
      });
      try {
        return {
          image: await upscaler.upscale(path, { scale, tile, overlap, ...control }),
          info: upscaler.info,
        };
      } finally {
        await upscaler.dispose();
      }
    });
    progress.clear();
    const saved = await save(image, path, output);
    const seconds = Math.round(performance.now() - start) / 1000;
    const { width, height } = image;
    if (json)
      return printJson({
        images: [{ file: saved, width, height }],
        model: info,
        seconds,
        warnings: warnings.list,
      });
    print(`${saved}  ${width}x${height}, ${info.architecture} x${info.scale}`);
    print(`1 image in ${duration(seconds)}`);
  } finally {
    progress.clear();
  }
}

/** Replaces the named output; otherwise writes a new file in the working folder. */
async function save(image: UpscaledImage, path: string, output: string | undefined): Promise<string> {
  return output === undefined
    ? image.save(`${basename(path, extname(path))}-upscaled.png`)
    : image.save(output, { overwrite: true });
}
