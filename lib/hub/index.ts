/** Downloads models from the Hugging Face hub and from Civitai. */
import { invalidOption } from '../errors.js';
import { checkCallback, checkSignal, knownKeys } from '../known-keys.js';
import { civitaiVersion, type PullCivitaiOptions, pullCivitai } from './civitai.js';
import { checkEnvironment } from './environment.js';
import { type PullRepositoryOptions, pullRepository } from './pull.js';
import type { PullResult } from './types.js';

export { type DownloadedModel, listModels, removeModel } from './library.js';
export { locateModel } from './locate.js';
export type { PullOptions, PullProgress, PullResult } from './types.js';

export type PullModelOptions = PullRepositoryOptions & PullCivitaiOptions;

const KEYS = [
  'pickle',
  'signal',
  'onProgress',
  'onNote',
  'env',
  'connections',
  'retry',
  'include',
  'variant',
  'models',
];

/** @throws INVALID_OPTION */
function checkPull(options: PullModelOptions): void {
  knownKeys('options', options, new Set(KEYS));
  checkSignal('signal', options.signal);
  checkCallback('onProgress', options.onProgress);
  checkCallback('onNote', options.onNote);
  const { pickle, env, include, variant, models, retry } = options;
  if (pickle !== undefined && typeof pickle !== 'boolean')
    throw invalidOption('pickle', 'true or false', pickle);
  if (env !== undefined) checkEnvironment(env);
  for (const [name, value] of Object.entries({ variant, models }))
    if (value !== undefined && typeof value !== 'string') throw invalidOption(name, 'string', value);
  if (
    include !== undefined &&
    !(Array.isArray(include) && include.every((pattern) => typeof pattern === 'string'))
  )
    throw invalidOption('include', 'an array of patterns', include);
  if (retry === undefined) return;
  knownKeys('retry', retry, new Set(['attempts', 'pause', 'patience']));
  for (const [name, value] of Object.entries(retry))
    if (value !== undefined && !(typeof value === 'number' && value >= 0))
      throw invalidOption(`retry.${name}`, 'a number of at least 0', value);
}

/**
 * Downloads `owner/name[@revision]` from the hub or `civitai:VERSION_ID` from Civitai.
 * @throws INVALID_OPTION, MODEL_NOT_FOUND, ACCESS_DENIED, UNSUPPORTED_MODEL (only pickles, or nothing readable),
 *   DOWNLOAD_FAILED, CHECKSUM_MISMATCH, FILE_NOT_WRITTEN, ABORTED
 */
export async function pullModel(name: string, options: PullModelOptions = {}): Promise<PullResult> {
  if (typeof name !== 'string') throw invalidOption('model', 'owner/name or civitai:VERSION_ID', name);
  checkPull(options);
  return civitaiVersion(name) === undefined ? pullRepository(name, options) : pullCivitai(name, options);
}
