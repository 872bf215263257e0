/** Options that several commands share: which model, and where it runs. */
import { type Command, Option } from 'commander';
import type { OpenModelOptions } from '../models/source.js';
import type { BackendChoice, StorageType } from '../native/types.js';
import { didYouMean, suggestValue } from '../suggest.js';
import { storageTypes } from '../weights/storage.js';
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

/** `--backend`: whether there is such a device is found out when the model is loaded. */
export function backendOption(description: string): Option {
  return new Option(
    '--backend <name>',
    `${description}: auto, cpu, cuda, metal, vulkan, or a device as in vulkan:1 or cuda:NAME`,
  ).argParser((text) => {
    if (/^(?:auto|cpu|(?:cuda|metal|vulkan)(?::.+)?)$/.test(text)) return text;
    const hint = didYouMean(suggestValue(text, ['auto', 'cpu', 'cuda', 'metal', 'vulkan']));
    throw new UsageError(
      `--backend takes auto, cpu, cuda, metal or vulkan, or a device of one as in vulkan:1 or cuda:NAME, not '${text}'${hint ? `; ${hint}` : ''}`,
    );
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
        'lean: weights stay in their files, small pieces; fast: more memory; default balanced',
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
