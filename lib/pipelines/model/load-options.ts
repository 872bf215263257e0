/** Options for loading pipelines. */

import { checkBackend } from '../../binding/backend-choice.js';
import type { BackendChoice, StorageType } from '../../binding/types.js';
import type { OpenModelOptions } from '../../checkpoint/model-descriptor.js';
import { storageTypes } from '../../checkpoint/weights/storage.js';
import { invalidOption } from '../../errors.js';
import type { ModuleSettings } from '../../families/shared/loaded-model.js';
import {
  loadKeys,
  type MemoryMode,
  memoryModes,
  type Precision,
  precisions,
} from '../../modules/module-options.js';
import * as check from '../../options/check.js';
import type { OnWarning, Warnings } from '../../warnings.js';
import { checkControl } from '../options.js';
import type { OnProgress } from '../progress.js';
import { type PromptFileOptions, promptFileKeys } from '../prompt-files.js';

/** Parts of a model that can be loaded separately. */
export const modelParts = ['text_encoder', 'unet', 'autoencoder'] as const;
export type ModelPart = (typeof modelParts)[number];

export interface LoadPipelineOptions extends OpenModelOptions, PromptFileOptions {
  /**
   * Backend. The default `auto` uses the first GPU that can be opened and has enough memory, otherwise the CPU.
   * `vulkan:1` and `cuda:NAME` select a device by index or part of its name.
   */
  readonly backend?: BackendChoice;
  /** Storage of the weights in memory; default as in the file. */
  readonly storage?: StorageType;
  /** CPU threads, 1 to 1024; default one per physical core. */
  readonly threads?: number;
  /**
   * Memory mode. `balanced` (default) keeps weights in memory and encodes and decodes in tiles of 1024 pixels, `fast`
   * in tiles of 2048 pixels. `lean` maps weights from their files where the CPU can compute with them, runs one image
   * and one guidance branch at a time and uses tiles of 256 pixels, which is slower but needs little memory.
   */
  readonly memory?: MemoryMode;
  /**
   * Number format of the CPU's products: `f32` (default); `bf16`, which is faster on processors with AVX-512 BF16 and
   * less exact; `int8`, which computes linear layers in int8 and is faster and less exact again (docs/precision.md); or
   * `auto`, bf16 on processors with units for it and f32 on others. Runs with taps or edits, and GPUs, compute in f32.
   */
  readonly precision?: Precision;
  /** Uses only the stock ggml operations, the reference of Safelight's CPU kernels. Default false. */
  readonly stockOps?: boolean;
  /** Parts to load now; others are loaded on first use. Default: all. */
  readonly parts?: readonly ModelPart[];
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
  /** Receives each warning as it occurs; `pipeline.warnings` lists all of them. */
  readonly onWarning?: OnWarning;
}

const KEYS: ReadonlySet<string> = new Set([
  ...loadKeys,
  ...['parts', 'variant', 'vae', 'previewVae', 'prediction', 'ema', 'config'],
  ...promptFileKeys,
]);

export interface LoadSettings {
  readonly open: OpenModelOptions;
  readonly modules: ModuleSettings;
  /** Parts to load; undefined for all. */
  readonly parts: readonly ModelPart[] | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress | undefined;
  readonly warnings: Warnings;
}

/** Validates the options for loading. @throws INVALID_OPTION naming the option */
export function checkLoadOptions(options: LoadPipelineOptions): LoadSettings {
  check.knownKeys('options', options, KEYS);
  for (const key of promptFileKeys) {
    const paths: unknown = key === 'upscalerFolder' ? options[key] : options[key] && [options[key]];
    const all: readonly unknown[] = Array.isArray(paths) ? paths : [paths];
    if (options[key] !== undefined && !all.every((path) => typeof path === 'string' && path !== ''))
      throw invalidOption(key, 'the path of a file or folder', options[key]);
  }
  const { variant, vae, previewVae, prediction, ema, config, storage, threads } = options;
  const parts: unknown = options.parts;
  if (parts !== undefined && !Array.isArray(parts)) throw invalidOption('parts', 'an array of parts', parts);
  return {
    open: {
      ...(variant === undefined ? {} : { variant: check.string('variant', variant) }),
      ...(vae === undefined ? {} : { vae: check.string('vae', vae) }),
      ...(previewVae === undefined ? {} : { previewVae: check.string('previewVae', previewVae) }),
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
      precision: check.oneOf('precision', options.precision ?? 'f32', precisions),
    },
    parts: parts?.map((part) => check.oneOf('parts', part, modelParts)),
    ...checkControl(options),
  };
}
