/** Options for loading `VqganPipeline`. */
import { invalidOption } from '../../errors.js';
import type { ModuleSettings } from '../../families/shared/loaded-model.js';
import type { OpenVqganOptions } from '../../families/shared/vqgan/open-vqgan.js';
import { type LoadKey, loadKeys } from '../../modules/module-options.js';
import * as check from '../../options/check.js';
import type { Warnings } from '../../warnings.js';
import type { LoadPipelineOptions } from '../model/load-options.js';
import { checkLoadOptions } from '../model/load-options.js';
import type { OnProgress } from '../progress.js';

export interface LoadVqganOptions extends OpenVqganOptions, Pick<LoadPipelineOptions, LoadKey> {}

export interface LoadVqganSettings {
  readonly open: OpenVqganOptions;
  readonly modules: ModuleSettings;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress | undefined;
  readonly warnings: Warnings;
}

const KEYS: ReadonlySet<string> = new Set([...loadKeys, 'config', 'ema', 'variant']);

/** Validates the options for loading. @throws INVALID_OPTION naming the option */
export function checkLoadVqganOptions(options: LoadVqganOptions): LoadVqganSettings {
  check.knownKeys('options', options, KEYS);
  const { config, ema, variant, ...shared } = options;
  const { modules, signal, onProgress, warnings } = checkLoadOptions(shared);
  return {
    open: {
      ...(config === undefined ? {} : { config: checkConfigs(config) }),
      ...(ema === undefined ? {} : { ema: check.boolean('ema', ema) }),
      ...(variant === undefined ? {} : { variant: check.string('variant', variant) }),
    },
    modules,
    signal,
    onProgress,
    warnings,
  };
}

function checkConfigs(config: string | readonly string[]): string | readonly string[] {
  if (typeof config === 'string') return config;
  if (!Array.isArray(config))
    throw invalidOption('config', 'the path of a YAML file or an array of paths', config);
  return config.map((path: unknown, i) => check.string(`config[${i}]`, path));
}
