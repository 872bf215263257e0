/** `safelight grid`: generates a labelled sheet of images over the values of up to three options. */
import { extname } from 'node:path';
import { Command } from 'commander';
import { defined } from '../../defined.js';
import type { GridAxes } from '../../pipelines/grid/axes.js';
import type { GridCell } from '../../pipelines/grid/generate-cells.js';
import type { GridResult } from '../../pipelines/grid/generate-grid.js';
import type { GenerateOptions } from '../../pipelines/options.js';
import type { OnWarning } from '../../warnings.js';
import { Interruption, UsageError } from '../failure.js';
import { addGenerateOptions, type GenerateFlags, toGenerateOptions } from '../generate-options.js';
import { interruptible, wasFinished } from '../interrupt.js';
import {
  addCommonOptions,
  addModelOptions,
  addPromptFiles,
  addRunOptions,
  type CommonOptions,
  type ModelOptions,
  openOptions,
  type PromptFileFlags,
  promptFiles,
  type RunOptions,
} from '../model-options.js';
import { openPipeline } from '../open-pipeline.js';
import { collectWarnings, duration, print, printJson } from '../output.js';
import { createProgress, type ProgressDisplay } from '../progress.js';
import { checkBeforeLoading } from './generate.js';

type Flags = GenerateFlags &
  PromptFileFlags &
  ModelOptions &
  RunOptions &
  CommonOptions & {
    readonly x?: string;
    readonly y?: string;
    readonly z?: string;
    readonly output?: string;
    readonly saveImages?: boolean;
    readonly resume?: boolean;
  };

export function gridCommand(): Command {
  const command = new Command('grid')
    .summary('generate a labelled sheet of images over the values of options')
    .description(
      'Generate one image for each combination of option values and a labelled sheet of all of them. An axis is OPTION=VALUES ' +
        'with the name of a flag of `safelight generate`, or prompt; values are separated by commas, "a,b" is one value with a comma. ' +
        'Numbers may be ranges: 1-5, 1-5 (+2) with a step, 1-5 [3] with a count. prompt-sr=a,b,c replaces a in the prompts by each ' +
        'value, and prompt-order=a,b,c puts the words in each order. Ctrl-C writes the sheet with the images that are finished.',
    )
    .argument('[prompt]', "prompt in A1111's syntax; for models with a text encoder")
    .optionsGroup('Grid:')
    .option('--x <option=values>', 'columns')
    .option('--y <option=values>', 'rows')
    .option('--z <option=values>', 'sheets, one below the other')
    .option(
      '-o, --output <file>',
      '.png, .jpg or .webp; an existing file is replaced. Default a new file safelight-grid-SEED.png',
    )
    .option('--save-images', 'also write each image, as NAME-1.png and so on')
    .option(
      '--resume',
      'keep finished images in the folder NAME.cells next to the output, and generate only those that are missing there',
    );
  addGenerateOptions(command);
  addPromptFiles(command);
  addModelOptions(command);
  addRunOptions(command);
  addCommonOptions(
    command,
    'print only {"file","width","height","cells":[{"x","y","z","seed","file","reused"}],"generated","reused","missing","seconds","warnings"} on stdout',
  );
  command.addHelpText(
    'after',
    '\nExamples:\n' +
      '  $ safelight grid "a red apple" --x steps=4,8,12 --y sampler=euler,dpmpp_2m --output sheet.png\n' +
      '  $ safelight grid "a red apple" --x "cfg=1-9 [5]" --y prompt-sr=red,green,blue --z seed=1,2 --resume -o sheet.png',
  );
  return command.action(grid);
}

async function grid(prompt: string | undefined, flags: Flags): Promise<void> {
  const options = toGenerateOptions(prompt, flags);
  const axes: GridAxes = defined({ x: flags.x, y: flags.y, z: flags.z });
  if (Object.keys(axes).length === 0) throw new UsageError('missing an axis: --x, --y or --z OPTION=VALUES');
  if (flags.output === '-') throw new UsageError('a grid cannot be written to stdout; name a file');
  if (flags.resume && flags.output === undefined)
    throw new UsageError('--resume keeps images in a folder next to the output; name it with --output');
  const { planGrid } = await import('../../pipelines/grid/cells.js');
  const { cells } = planGrid(options, axes);
  for (const cell of distinct(cells.map((one) => one.options))) await checkBeforeLoading(cell, flags);
  const start = performance.now();
  const progress = createProgress({ quiet: flags.quiet ?? false });
  let finished = 0;
  try {
    await interruptible(
      (signal) => run(options, axes, flags, { progress, signal, start, onCell: () => finished++ }),
      () => finished > 0,
    );
  } finally {
    progress.clear();
  }
}

/** Returns the options of cells that name different prompts or files, which are checked before the model is loaded. */
function distinct(cells: readonly GenerateOptions[]): GenerateOptions[] {
  const keyOf = ({ prompt, negative, init, mask, loras, styles, class: label, hires }: GenerateOptions) =>
    JSON.stringify([prompt, negative, init, mask, loras, styles, label, hires?.upscaler]);
  return [...new Map(cells.map((cell) => [keyOf(cell), cell])).values()];
}

interface Control {
  readonly progress: ProgressDisplay;
  readonly signal: AbortSignal;
  readonly start: number;
  readonly onCell: () => void;
}

async function run(options: GenerateOptions, axes: GridAxes, flags: Flags, control: Control): Promise<void> {
  const { progress, signal, start, onCell } = control;
  const warnings = collectWarnings(flags.json, progress.clear);
  const onWarning: OnWarning = ({ code, message }) => warnings.add(code, message);
  const { generateGrid } = await import('../../pipelines/grid/generate-grid.js');
  const pipeline = await openPipeline(flags, { signal, onProgress: progress.show, onWarning });
  try {
    const result = await generateGrid(pipeline, options, axes, {
      ...{ signal, onWarning, onCell },
      ...(flags.resume
        ? { cache: `${withoutExtension(flags.output!)}.cells`, cacheKey: loadingOf(flags) }
        : {}),
      onProgress: ({ cell, cells }) => progress.show({ phase: 'grid', step: cell, steps: cells }),
    });
    progress.clear();
    const { sheet, cells, seed } = result;
    const overwrite = flags.output !== undefined;
    const file = await sheet.save(flags.output ?? `safelight-grid-${seed}.png`, { overwrite });
    const files = flags.saveImages ? await saveCells(cells, file) : [];
    report(result, file, files, { json: flags.json, start, warnings: warnings.list });
    const missing = cells.filter(({ image }) => !image).length;
    if (wasFinished(signal))
      throw new Interruption('SIGINT', `${cells.length - missing} of ${cells.length} images on the sheet`);
  } finally {
    await pipeline.dispose();
  }
}

/** Describes how the model is loaded, as far as it affects images. */
function loadingOf(flags: Flags): string {
  const { storage, backend, memory, precision } = flags;
  return JSON.stringify({
    ...openOptions(flags),
    ...promptFiles(flags),
    storage,
    backend,
    memory,
    precision,
  });
}

/** Writes the images next to the sheet, with its format. */
async function saveCells(cells: readonly GridCell[], sheet: string): Promise<(string | undefined)[]> {
  const { writeOutput } = await import('../../files/write.js');
  const { encodeImage, imageFormatOf } = await import('../../image/encode.js');
  const format = imageFormatOf(sheet);
  const digits = `${cells.length}`.length;
  const files: (string | undefined)[] = [];
  for (const [i, { image }] of cells.entries()) {
    const number = `${i + 1}`.padStart(digits, '0');
    const file = `${withoutExtension(sheet)}-${number}${extname(sheet)}`;
    // Only PNG contains the generation parameters.
    if (image)
      await writeOutput(file, format === 'png' ? await image.png() : await encodeImage(image, format));
    files.push(image && file);
  }
  return files;
}

function withoutExtension(path: string): string {
  return path.slice(0, path.length - extname(path).length);
}

function report(
  { sheet: { width, height }, cells, generated, reused }: GridResult,
  file: string,
  files: readonly (string | undefined)[],
  {
    json,
    start,
    warnings,
  }: { readonly json: boolean | undefined; readonly start: number; readonly warnings: unknown },
): void {
  const seconds = Math.round(performance.now() - start) / 1000;
  const missing = cells.filter(({ image }) => !image).length;
  if (json) {
    const listed = cells.map(({ x, y, z, options, reused: earlier }, i) => ({
      ...{ x, y, z, seed: options.seed, file: files[i] ?? null, reused: earlier },
    }));
    printJson({ file, width, height, cells: listed, generated, reused, missing, seconds, warnings });
    return;
  }
  for (const path of files) if (path !== undefined) print(path);
  const earlier = reused > 0 ? `, ${reused} from an earlier run` : '';
  print(`${file}  ${width}x${height}, ${generated} images generated${earlier}, in ${duration(seconds)}`);
}
