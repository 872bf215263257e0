/** Options shared by the VQGAN commands: model and sampling of code indices. */
import { type Command, InvalidArgumentError } from 'commander';
import { encodeSizeFields, sampleFields } from '../options/declarations/autoregressive.js';
import type { VqganPipeline } from '../pipelines/vqgan/vqgan-pipeline.js';
import type { OnWarning } from '../warnings.js';
import {
  addRunOptions,
  type CommonOptions,
  type RunOptions,
  runOptions,
  withoutUndefined,
} from './model-options.js';
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
    if (value === '') throw new InvalidArgumentError('the path is empty');
    return [...before, value];
  };
  command
    .optionsGroup('Model:')
    .option(
      '-m, --model <path>',
      'checkpoint of taming-transformers or CompVis, its folder, or a diffusers VQModel folder; default: the bundled sketch model',
    )
    .option(
      '--config <file.yaml>',
      'YAML config of the checkpoint, if it is not next to it; repeatable, later files override earlier ones',
      collect,
    )
    .option('--ema', 'use the exponential moving average of the weights, if the checkpoint contains it')
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors in a folder, such as fp16');
  return addRunOptions(command);
}

export function addSizeOptions(command: Command): Command {
  return addOptionFlags(command, '', encodeSizeFields);
}

export function addSamplingOptions(command: Command): Command {
  return addOptionFlags(command, 'Sampling:', sampleFields);
}

/** Loads the VQGAN pipeline that a command's options select. */
export async function openVqgan(
  { model, config, ema, variant, ...options }: VqganFlags,
  control: {
    readonly signal: AbortSignal;
    readonly onProgress: (report: Report) => void;
    readonly onWarning: OnWarning;
  },
): Promise<VqganPipeline> {
  const { VqganPipeline } = await import('../pipelines/vqgan/vqgan-pipeline.js');
  return VqganPipeline.load(
    model,
    withoutUndefined({ config, ema, variant, ...runOptions(options), ...control }),
  );
}
