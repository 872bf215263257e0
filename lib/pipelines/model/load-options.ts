/** How a pipeline is loaded. */

import { checkBackend } from '../../binding/backend-choice.js';
import type { BackendChoice, StorageType } from '../../binding/types.js';
import type { OpenModelOptions } from '../../checkpoint/model-descriptor.js';
import { storageTypes } from '../../checkpoint/weights/storage.js';
import { invalidOption } from '../../errors.js';
import type { ModuleSettings } from '../../families/shared/loaded-model.js';
import { type MemoryMode, memoryModes } from '../../modules/loaded-module.js';
import * as check from '../../options/check.js';
import type { OnWarning, Warnings } from '../../warnings.js';
import { checkControl } from '../options.js';
import type { OnProgress } from '../progress.js';

/** Parts of a model that can be loaded by themselves. */
export const modelParts = ['text_encoder', 'unet', 'autoencoder'] as const;
export type ModelPart = (typeof modelParts)[number];

export interface LoadPipelineOptions extends OpenModelOptions {
  /**
   * Default `auto`: the first GPU that opens and has the memory, else the CPU. `vulkan:1` and `cuda:NAME` pick a device by its index or a part of
   * its name.
   */
  readonly backend?: BackendChoice;
  /** How weights are kept in memory; default as in the file. */
  readonly storage?: StorageType;
  /** Threads of the CPU, 1 to 1024; default one a physical core. */
  readonly threads?: number;
  /**
   * `balanced` (default) keeps weights in memory, `fast` also forms of them that are quicker to use. `lean` leaves them in their files where the CPU can compute with them there, runs
   * one picture and one prompt at a time, and decodes in tiles of 256 pixels: slower, for little memory.
   */
  readonly memory?: MemoryMode;
  /** Stock ggml operations only: the oracle of the CPU kernels. */
  readonly stockOps?: boolean;
  /** Modules to load at once; the others are loaded when they are first needed. Default all. */
  readonly parts?: readonly ModelPart[];
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
  /** Called with each warning as it occurs; `pipeline.warnings` lists them all. */
  readonly onWarning?: OnWarning;
}

const KEYS: ReadonlySet<string> = new Set([
  ...[
    'backend',
    'storage',
    'threads',
    'memory',
    'stockOps',
    'parts',
    'signal',
    'onProgress',
    'onWarning',
    'variant',
    'vae',
    'prediction',
    'ema',
    'config',
  ],
]);

export interface LoadSettings {
  readonly open: OpenModelOptions;
  readonly modules: ModuleSettings;
  /** Undefined for all. */
  readonly parts: readonly ModelPart[] | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress | undefined;
  readonly warnings: Warnings;
}

/** @throws INVALID_OPTION naming the option */
export function checkLoadOptions(options: LoadPipelineOptions): LoadSettings {
  check.knownKeys('options', options, KEYS);
  const { variant, vae, prediction, ema, config, storage, threads } = options;
  const parts: unknown = options.parts;
  if (parts !== undefined && !Array.isArray(parts))
    throw invalidOption('parts', 'an array of modules', parts);
  return {
    open: {
      ...(variant === undefined ? {} : { variant: check.string('variant', variant) }),
      ...(vae === undefined ? {} : { vae: check.string('vae', vae) }),
      ...(prediction === undefined
        ? {}
        : { prediction: check.oneOf('prediction', prediction, ['eps', 'v', 'x0']) }),
      ...(config === undefined ? {} : { config }),
      ...(ema === undefined ? {} : { ema: check.boolean('ema', ema) }),
    },
    modules: {
      backend: checkBackend(options.backend ?? 'auto'),
      storage: storage === undefined ? undefined : check.oneOf('storage', storage, storageTypes),
      threads: threads === undefined ? 0 : check.integer('threads', threads, 1, 1024),
      memory: check.oneOf('memory', options.memory ?? 'balanced', memoryModes),
      stockOps: check.boolean('stockOps', options.stockOps ?? false),
    },
    parts: parts?.map((part) => check.oneOf('parts', part, modelParts)),
    ...checkControl(options),
  };
}
