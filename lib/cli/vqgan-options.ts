/** Options that the commands of models of codes share: which model, and how codes are drawn. */
import { type Command, InvalidArgumentError } from 'commander';
import { encodeSizeFields, sampleFields } from '../options/declarations/autoregressive.js';
import type { VqganPipeline } from '../pipelines/vqgan/vqgan-pipeline.js';
import type { OnWarning } from '../warnings.js';
import { addRunOptions, type CommonOptions, given, type RunOptions } from './model-options.js';
import { addOptionFlags } from './option-flags.js';
import type { Report } from './progress.js';

export interface VqganFlags extends RunOptions, CommonOptions {
  readonly model?: string;
  readonly config?: string[];
  readonly ema?: boolean;
  readonly variant?: string;
}

export interface SizeFlags {
  readonly width?: number;
  readonly height?: number;
}

export function addVqganModelOptions(command: Command): Command {
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

export function addSizeOptions(command: Command): Command {
  return addOptionFlags(command, '', encodeSizeFields);
}

export function addDrawOptions(command: Command): Command {
  return addOptionFlags(command, 'Drawing:', sampleFields);
}

/** The pipeline that a command's options ask for. */
export async function openVqgan(
  { model, config, ema, variant, backend, storage, threads, memory }: VqganFlags,
  control: {
    readonly signal: AbortSignal;
    readonly onProgress: (report: Report) => void;
    readonly onWarning: OnWarning;
  },
): Promise<VqganPipeline> {
  const { VqganPipeline } = await import('../pipelines/vqgan/vqgan-pipeline.js');
  return VqganPipeline.load(
    model,
    given({ config, ema, variant, backend, storage, threads, memory, ...control }),
  );
}
