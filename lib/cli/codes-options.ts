/** Options that the commands of models of codes share: which model, and how codes are drawn. */
import { type Command, InvalidArgumentError } from 'commander';
import { MAX_SIDE } from '../pipelines/limits.js';
import type { CodesPipeline } from '../pipelines/vqgan/vqgan-pipeline.js';
import type { OnWarning } from '../warnings.js';
import { addRunOptions, type CommonOptions, given, type RunOptions } from './model-options.js';
import { decimal, seedNumber, wholeNumber } from './numbers.js';
import type { Report } from './progress.js';

export interface CodesFlags extends RunOptions, CommonOptions {
  readonly model?: string;
  readonly config?: string[];
  readonly ema?: boolean;
  readonly variant?: string;
}

export interface SizeFlags {
  readonly width?: number;
  readonly height?: number;
}

export interface DrawFlags extends SizeFlags {
  readonly topK?: number;
  readonly topP?: number;
  readonly temperature?: number;
  readonly seed?: number;
}

export function addCodesModelOptions(command: Command): Command {
  const collect = (value: string, before: string[] = []): string[] => {
    if (value === '') throw new InvalidArgumentError('it names no file');
    return [...before, value];
  };
  command
    .optionsGroup('Model:')
    .option(
      '-m, --model <path>',
      "taming's or CompVis' checkpoint, its folder, or a diffusers VQModel folder; default: the sketch starter",
    )
    .option(
      '--config <file.yaml>',
      "the checkpoint's YAML, where it is not beside it; again for more, the last wins",
      collect,
    )
    .option('--ema', 'averaged weights, where the checkpoint has them')
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors of a folder, such as fp16');
  return addRunOptions(command);
}

export function addSizeOptions(command: Command, what: string): Command {
  return command
    .option('-W, --width <px>', what, wholeNumber('--width', 1, MAX_SIDE))
    .option('-H, --height <px>', 'likewise', wholeNumber('--height', 1, MAX_SIDE));
}

export function addDrawOptions(command: Command): Command {
  command
    .optionsGroup('Drawing:')
    .option(
      '--top-k <n>',
      "draw among the n most probable codes; default the model's, else 250",
      wholeNumber('--top-k', 1),
    )
    .option(
      '--top-p <p>',
      "draw among the most probable codes that sum to p; default the model's, else 1: all",
      decimal('--top-p', 0, 1),
    )
    .option(
      '--temperature <t>',
      "less than 1 is more careful, more is wilder; default the model's, else 1",
      decimal('--temperature', 0),
    )
    .option('-s, --seed <n>', 'default -1: random, printed', seedNumber('--seed'));
  return addSizeOptions(
    command,
    'pixels; default the size the model was trained at; larger ones by a sliding window',
  );
}

/** The pipeline that a command's options ask for. */
export async function openCodes(
  { model, config, ema, variant, backend, storage, threads, memory }: CodesFlags,
  control: {
    readonly signal: AbortSignal;
    readonly onProgress: (report: Report) => void;
    readonly onWarning: OnWarning;
  },
): Promise<CodesPipeline> {
  const { CodesPipeline } = await import('../pipelines/vqgan/vqgan-pipeline.js');
  return CodesPipeline.load(
    model,
    given({ config, ema, variant, backend, storage, threads, memory, ...control }),
  );
}
