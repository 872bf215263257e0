/** Checks the arguments of a loaded module's methods, so that any malformed one is a typed error. */

import { TensorRef } from '../binding/tensor-ref.js';
import { ComponentWeights } from '../checkpoint/weights/component.js';
import { storageTypes } from '../checkpoint/weights/storage.js';
import { invalidOption } from '../errors.js';
import { checkCallback, checkSignal, knownKeys, oneOf } from '../known-keys.js';
import { type AnyTensor, Tensor } from '../tensor/tensor.js';
import { type CallOptions, type LoadOptions, memoryModes } from './module-options.js';

const CALL_KEYS = ['signal', 'taps', 'overrides', 'timings', 'patches'];

/**
 * Options of one run.
 * @param more names of options besides those of every run
 * @throws INVALID_OPTION
 */
export function checkCall<T extends CallOptions>(options: T, ...more: string[]): T {
  knownKeys('options', options, new Set([...CALL_KEYS, ...more]));
  checkSignal('signal', options.signal);
  const { taps, overrides = {}, timings, patches } = options;
  if (typeof overrides !== 'object' || overrides === null || Array.isArray(overrides))
    throw invalidOption('overrides', 'tensors by the names of nodes', overrides);
  for (const [node, tensor] of Object.entries(overrides)) checkIsTensor(`overrides.${node}`, tensor);
  if (taps !== undefined && !(Array.isArray(taps) && taps.every((name) => typeof name === 'string')))
    throw invalidOption('taps', 'an array of names', taps);
  if (timings !== undefined && typeof timings !== 'boolean')
    throw invalidOption('timings', 'true or false', timings);
  if (patches !== undefined && (typeof patches !== 'string' || patches === ''))
    throw invalidOption('patches', 'the name of a patch set', patches);
  return options;
}

/** @throws INVALID_OPTION for a flag that is neither true nor false */
export function checkFlags(options: object, ...names: string[]): void {
  const values = new Map<string, unknown>(Object.entries(options));
  for (const name of names) {
    const value = values.get(name);
    if (value !== undefined && typeof value !== 'boolean') throw invalidOption(name, 'true or false', value);
  }
}

/** Tensors by name, each of any shape: the graph knows which shapes it takes. @throws INVALID_OPTION */
export function checkInputs<T extends object>(inputs: T, ...names: (keyof T & string)[]): T {
  knownKeys('inputs', inputs, new Set(names));
  return inputs;
}

/** @throws INVALID_OPTION */
export function checkIsTensor(name: string, value: unknown): AnyTensor {
  if (value instanceof Tensor) return value;
  throw invalidOption(name, 'a Tensor', value);
}

/** True for a tensor in the memory of a device, and for a list of such. */
export function isTensorRef(value: unknown): value is TensorRef | readonly TensorRef[] {
  const refs: readonly unknown[] = Array.isArray(value) ? value : [value];
  return refs.length > 0 && refs.every((one) => one instanceof TensorRef);
}

/** @throws INVALID_OPTION for what is neither a tensor nor in the memory of a device */
export function checkTensorOrRef(name: string, value: unknown): void {
  if (!isTensorRef(value) && !(value instanceof Tensor))
    throw invalidOption(name, 'a Tensor, a TensorRef or a list of those', value);
}

/**
 * Sizes and counts by name; those that are left out have a default.
 * @param names all that there are; by default those that are given
 * @throws INVALID_OPTION
 */
export function checkSizes(sizes: object, ...names: string[]): void {
  if (names.length > 0) knownKeys('size', sizes, new Set(names));
  for (const [name, size] of Object.entries(sizes)) {
    const fits = Number.isSafeInteger(size) && size >= 1 && size <= LARGEST;
    if (size !== undefined && !fits) throw invalidOption(name, `integer between 1 and ${LARGEST}`, size);
  }
}

/** Size of images in pixels, and their number. */
export interface ImageSize {
  readonly batch?: number;
  readonly height?: number;
  readonly width?: number;
}

/** @throws INVALID_OPTION */
export function checkEntry(entry: unknown, ...entries: string[]): void {
  if (!entries.some((one) => one === entry))
    throw invalidOption('entry', `one of ${entries.join(', ')}`, entry);
}

/** Largest size accepted, so that a slip is an error instead of a graph of terabytes. */
const LARGEST = 2 ** 20;

const LOAD_KEYS = new Set([
  'backend',
  'storage',
  'threads',
  'stockOps',
  'memory',
  'signal',
  'onProgress',
  'onWarning',
]);

/** @throws INVALID_OPTION */
export function checkLoad(options: LoadOptions): void {
  knownKeys('options', options, LOAD_KEYS);
  checkSignal('signal', options.signal);
  checkCallback('onProgress', options.onProgress);
  checkCallback('onWarning', options.onWarning);
  checkFlags(options, 'stockOps');
  const { threads, storage, memory } = options;
  if (storage !== undefined) oneOf('storage', storage, storageTypes);
  if (memory !== undefined) oneOf('memory', memory, memoryModes);
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 0 && threads <= 1024))
    throw invalidOption('threads', 'integer between 0 and 1024', threads);
}

/** A component as `openModel` and its kin describe it. @throws INVALID_OPTION */
export function checkSource<T extends { readonly config: object; readonly weights: ComponentWeights }>(
  source: T,
): T {
  const { config, weights } = Object(source) as { config?: unknown; weights?: unknown };
  if (typeof config !== 'object' || config === null || !(weights instanceof ComponentWeights))
    throw invalidOption('source', "a component of openModel's ({ config, weights })", source);
  return source;
}
