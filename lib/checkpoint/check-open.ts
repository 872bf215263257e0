/** Checks the path and the options with which a model is opened, before any file is read. */
import { invalidOption } from '../errors.js';
import { checkCallback, checkSignal, knownKeys, oneOf } from '../known-keys.js';
import type { OpenModelOptions } from './model-descriptor.js';

export const openKeys = ['variant', 'vae', 'previewVae', 'prediction', 'config', 'ema'] as const;
const PREDICTIONS = ['eps', 'v', 'x0'] as const;

type Opening = Pick<OpenModelOptions, never> & { readonly [K in (typeof openKeys)[number]]?: unknown };

/**
 * @param keys names of the options that the call accepts
 * @throws INVALID_OPTION
 */
export function checkOpen(path: unknown, options: Opening, keys: readonly string[] = openKeys): void {
  checkPath('model', path);
  knownKeys('options', options, new Set(keys));
  const { variant, vae, previewVae, prediction, config, ema } = options;
  if (variant !== undefined && typeof variant !== 'string')
    throw invalidOption('variant', 'a string, such as fp16', variant);
  if (vae !== undefined) checkPath('vae', vae);
  if (previewVae !== undefined) checkPath('previewVae', previewVae);
  if (prediction !== undefined) oneOf('prediction', prediction, PREDICTIONS);
  if (ema !== undefined && typeof ema !== 'boolean') throw invalidOption('ema', 'true or false', ema);
  const configs: readonly unknown[] = Array.isArray(config) ? config : [config];
  if (config !== undefined && !(configs.length > 0 && configs.every(isPath)))
    throw invalidOption('config', 'the path of a YAML file, or an array of paths', config);
}

/** @throws INVALID_OPTION if `path` is not a non-empty string without NUL characters */
export function checkPath(name: string, path: unknown): void {
  if (!isPath(path)) throw invalidOption(name, 'the path of a folder or file', path);
}

/** Checks the options that all functions that write a model share. @throws INVALID_OPTION */
export function checkWriting(options: {
  readonly threads?: unknown;
  readonly signal?: unknown;
  readonly onProgress?: unknown;
}): void {
  checkSignal('signal', options.signal);
  checkCallback('onProgress', options.onProgress);
}

function isPath(path: unknown): path is string {
  return typeof path === 'string' && path !== '' && !path.includes('\0');
}
