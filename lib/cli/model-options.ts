/** Options shared by several commands: model, device and output format. */
import { type Command, Option } from 'commander';
import { BACKEND_FORMS, backendHint, parseBackend } from '../binding/backend-choice.js';
import type { BackendChoice, StorageType } from '../binding/types.js';
import type { OpenModelOptions } from '../checkpoint/model-descriptor.js';
import { storageTypes } from '../checkpoint/weights/storage.js';
import { defined } from '../defined.js';
import { type Precision, precisions } from '../modules/module-options.js';
import type { PromptFileOptions } from '../pipelines/prompt-files.js';
import { UsageError } from './failure.js';
import { integer } from './numbers.js';

export interface ModelOptions {
  readonly model?: string;
  readonly vae?: string;
  readonly previewVae?: string;
  readonly variant?: string;
  readonly prediction?: 'eps' | 'v' | 'x0';
  readonly ema?: boolean;
  readonly config?: string;
}

export interface RunOptions {
  readonly backend?: BackendChoice;
  readonly storage?: StorageType;
  readonly threads?: number;
  readonly memory?: 'fast' | 'balanced' | 'lean';
  readonly precision?: Precision;
}

/** Returns those of the options that are set, without others of a command. */
export function runOptions({ backend, storage, threads, memory, precision }: RunOptions): RunOptions {
  return withoutUndefined<RunOptions>({ backend, storage, threads, memory, precision });
}

/** Folders and files that prompts and options refer to. */
export interface PromptFileFlags {
  readonly loras?: string;
  readonly embeddings?: string;
  readonly wildcards?: string;
  readonly upscalers?: string;
  readonly styles?: string;
}

export interface CommonOptions {
  readonly verbose?: boolean;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

export function addModelOption(command: Command): Command {
  return command.option(
    '-m, --model <path>',
    'folder (diffusers), safetensors, GGUF or .ckpt file, or a downloaded owner/name; default: the starter model',
  );
}

export function addModelOptions(command: Command): Command {
  return addModelOption(command.optionsGroup('Model:'))
    .option('--vae <path>', "autoencoder that replaces the model's: file or folder")
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors in a folder, such as fp16')
    .option('--config <file>', 'YAML config of a CompVis checkpoint; default the file next to it')
    .option('--ema', 'use the exponential moving average of the weights (model_ema.*)')
    .addOption(
      new Option(
        '--prediction <kind>',
        'prediction type of the U-Net, if the model does not specify it',
      ).choices(['eps', 'v', 'x0']),
    );
}

/** Adds the options for folders and files that prompts refer to. */
export function addPromptFiles(command: Command): Command {
  return command
    .optionsGroup('Prompt files:')
    .option('--loras <folder>', 'LoRAs for tags in prompts, <lora:NAME:WEIGHT>; searched recursively')
    .option(
      '--embeddings <folder>',
      'embeddings (textual inversion), used by their names; searched recursively',
    )
    .option('--wildcards <folder>', 'files for --dynamic-prompts: __NAME__ is a line of NAME.txt')
    .option(
      '--upscalers <folder>',
      'upscaler models for --hires-upscaler, by their names; searched recursively',
    )
    .option('--styles <file>', "styles for --style, in A1111's CSV format");
}

/** Returns the paths of the folders and files that prompts refer to. */
export function promptFiles({
  loras,
  embeddings,
  wildcards,
  upscalers,
  styles,
}: PromptFileFlags): PromptFileOptions {
  return defined({
    ...{ loraFolder: loras, embeddingFolder: embeddings },
    ...{ wildcardFolder: wildcards, upscalerFolder: upscalers, stylesFile: styles },
  });
}

/** Collects the values of a repeatable option. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

/** Adds the options for the models that `serve` and `worker` offer. */
export function addOfferedModels(command: Command): Command {
  return command
    .optionsGroup('Models:')
    .option(
      '-m, --model <name=path>',
      'a model: NAME=PATH, a path, a downloaded owner/name, or starter; repeatable',
      collect,
    )
    .option(
      '--models <folder>',
      'a folder of models, searched recursively; each is named by its path without extension',
    )
    .option(
      '--preview-vae <name=path>',
      'tiny autoencoder (TAESD) that decodes the previews of a model; repeatable',
      collect,
    )
    .option('--no-starter', 'do not offer the bundled models starter and sketch unless they are named');
}

/** Adds the options for how long `serve` and `worker` keep models loaded. */
export function addModelMemory(command: Command): Command {
  return command
    .option(
      '--memory-budget <bytes>',
      'memory budget of all loaded models in bytes; default unlimited',
      integer('--memory-budget', 2 ** 20, Number.MAX_SAFE_INTEGER),
    )
    .option(
      '--idle <seconds>',
      'unload a model after this time without jobs, 0 for never; default 900',
      integer('--idle', 0, 2 ** 31),
    );
}

/** Returns the option `--backend`. The existence of the device is checked when the model is loaded. */
export function backendOption(description: string): Option {
  return new Option(
    '--backend <name>',
    `${description}: auto, cpu, cuda, metal, vulkan, or a device such as vulkan:1 or cuda:NAME; default auto`,
  ).argParser((text) => {
    if (parseBackend(text)) return text;
    const hint = backendHint(text);
    throw new UsageError(
      `Expected --backend to be ${BACKEND_FORMS}, received '${text}'${hint ? `; ${hint}` : ''}`,
    );
  });
}

export function addRunOptions(command: Command): Command {
  return command
    .optionsGroup('Machine:')
    .addOption(backendOption('compute device'))
    .addOption(
      new Option('--storage <type>', "storage type of the weights in memory; default the file's").choices(
        storageTypes,
      ),
    )
    .addOption(
      new Option(
        '--memory <mode>',
        'lean: weights stay in their files, small tiles; fast: large images without tiling; default balanced',
      ).choices(['fast', 'balanced', 'lean']),
    )
    .addOption(precisionOption())
    .option('--threads <n>', 'CPU threads; default one per physical core', integer('--threads', 1, 1024));
}

export function precisionOption(): Option {
  return new Option(
    '--precision <format>',
    'number format of products on the CPU: f32 (default); bf16, faster and less exact; int8, faster and less exact than bf16; auto, bf16 if the processor has units for it',
  ).choices(precisions);
}

/** Adds the common options; call it last, so that they are at the end of the help text. */
export function addCommonOptions(command: Command, json = 'print only JSON on stdout'): Command {
  return command
    .optionsGroup('Other:')
    .option('--json', json)
    .option('-q, --quiet', 'print no progress')
    .option('--verbose', 'print the stack trace of an error')
    .helpOption('-h, --help', 'show this help');
}

/** Returns the options that select the files of a model and how they are read. */
export function openOptions(options: ModelOptions): OpenModelOptions {
  const { vae, previewVae, variant, prediction, ema, config } = options;
  return withoutUndefined({ vae, previewVae, variant, prediction, ema, config } as OpenModelOptions);
}

/** Removes undefined properties, because API options are optional properties without undefined. */
export function withoutUndefined<T extends object>(
  options: { readonly [K in keyof T]: T[K] | undefined },
): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
