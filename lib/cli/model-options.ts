/** Options that several commands share: which model, and where it runs. */
import { type Command, Option } from 'commander';
import { BACKEND_FORMS, backendHint, parseBackend } from '../binding/backend-choice.js';
import type { BackendChoice, StorageType } from '../binding/types.js';
import type { OpenModelOptions } from '../checkpoint/model-descriptor.js';
import { storageTypes } from '../checkpoint/weights/storage.js';
import { UsageError } from './failure.js';
import { wholeNumber } from './numbers.js';

export interface ModelOptions {
  readonly model?: string;
  readonly vae?: string;
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
}

export interface CommonOptions {
  readonly verbose?: boolean;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

export function addModelOption(command: Command): Command {
  return command.option(
    '-m, --model <path>',
    'folder (diffusers), safetensors, GGUF or .ckpt file, or a pulled owner/name; default: the starter model',
  );
}

export function addModelOptions(command: Command): Command {
  return addModelOption(command.optionsGroup('Model:'))
    .option('--vae <path>', "autoencoder instead of the model's: file or folder")
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors of a folder, such as fp16')
    .option('--config <file>', 'YAML of a CompVis checkpoint; default what lies beside it')
    .option('--ema', "the moving average of a file's weights (model_ema.*) instead of them")
    .addOption(
      new Option('--prediction <kind>', 'what the U-Net predicts, if the model does not say').choices([
        'eps',
        'v',
        'x0',
      ]),
    );
}

/** For options that may be given again. */
export const several = (value: string, before: string[] = []): string[] => [...before, value];

/** The models that `serve` and `worker` offer. */
export function addOfferedModels(command: Command): Command {
  return command
    .optionsGroup('Models:')
    .option(
      '-m, --model <name=path>',
      'a model: NAME=PATH, a path, owner/name of the hub, or starter; repeat for more',
      several,
    )
    .option('--models <folder>', 'a folder of models, with its subfolders: each by its path without ending')
    .option('--no-starter', 'without the bundled models starter and sketch, unless they are named');
}

/** How long `serve` and `worker` keep models loaded. */
export function addModelMemory(command: Command): Command {
  return command
    .option(
      '--memory-budget <bytes>',
      'what loaded models may take together',
      wholeNumber('--memory-budget', 2 ** 20, Number.MAX_SAFE_INTEGER),
    )
    .option(
      '--idle <seconds>',
      'unload a model unused for so long, 0 never; default 900',
      wholeNumber('--idle', 0, 2 ** 31),
    );
}

/** `--backend`: whether there is such a device is found out when the model is loaded. */
export function backendOption(description: string): Option {
  return new Option(
    '--backend <name>',
    `${description}: auto, cpu, cuda, metal, vulkan, or a device as in vulkan:1 or cuda:NAME`,
  ).argParser((text) => {
    if (parseBackend(text)) return text;
    const hint = backendHint(text);
    throw new UsageError(`--backend takes ${BACKEND_FORMS}, not '${text}'${hint ? `; ${hint}` : ''}`);
  });
}

export function addRunOptions(command: Command): Command {
  return command
    .optionsGroup('Machine:')
    .addOption(backendOption('where to compute; default auto'))
    .addOption(
      new Option('--storage <type>', "how weights are kept in memory; default the file's").choices(
        storageTypes,
      ),
    )
    .addOption(
      new Option(
        '--memory <mode>',
        'lean: weights stay in their files, small pieces; fast: large images in one piece; default balanced',
      ).choices(['fast', 'balanced', 'lean']),
    )
    .option('--threads <n>', 'CPU threads; default one a physical core', wholeNumber('--threads', 1, 1024));
}

/** Last, so that it stands at the end of the help. */
export function addCommonOptions(command: Command, json = 'print only JSON on stdout'): Command {
  return command
    .optionsGroup('Other:')
    .option('--json', json)
    .option('-q, --quiet', 'no progress')
    .option('--verbose', 'show where an error comes from')
    .helpOption('-h, --help', 'show this help');
}

/** What of them says which of a model's files to take, and how. */
export function openOptions({ vae, variant, prediction, ema, config }: ModelOptions): OpenModelOptions {
  return given<OpenModelOptions>({ vae, variant, prediction, ema, config } as OpenModelOptions);
}

/** Without the keys that were not given: options of the API tell "not given" by absence. */
export function given<T extends object>(options: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
