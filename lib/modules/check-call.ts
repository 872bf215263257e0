/**
 * Checks of the arguments of loaded modules, so that malformed ones are rejected with typed errors before the native
 * call.
 */

import { TensorRef } from '../binding/tensor-ref.js';
import { ComponentWeights } from '../checkpoint/weights/component.js';
import { storageTypes } from '../checkpoint/weights/storage.js';
import { invalidOption } from '../errors.js';
import { checkCallback, checkSignal, knownKeys, oneOf } from '../known-keys.js';
import { type AnyTensor, Tensor } from '../tensor/tensor.js';
import { type CallOptions, type LoadOptions, loadKeys, memoryModes, precisions } from './module-options.js';

const CALL_KEYS = ['signal', 'taps', 'overrides', 'timings', 'patches'];

/**
 * Checks the options of a run.
 * @param more names of options accepted in addition to those of `CallOptions`
 * @throws INVALID_OPTION
 */
export function checkCall<T extends CallOptions>(options: T, ...more: string[]): T {
  knownKeys('options', options, new Set([...CALL_KEYS, ...more]));
  checkSignal('signal', options.signal);
  const { taps, overrides = {}, timings, patches } = options;
  if (typeof overrides !== 'object' || overrides === null || Array.isArray(overrides))
    throw invalidOption('overrides', 'an object of tensors keyed by node name', overrides);
  for (const [node, tensor] of Object.entries(overrides)) checkIsTensor(`overrides.${node}`, tensor);
  if (taps !== undefined && !(Array.isArray(taps) && taps.every((name) => typeof name === 'string')))
    throw invalidOption('taps', 'an array of node names', taps);
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

/** Checks the names of inputs; the graph checks their shapes. @throws INVALID_OPTION */
export function checkInputs<T extends object>(inputs: T, ...names: (keyof T & string)[]): T {
  knownKeys('inputs', inputs, new Set(names));
  return inputs;
}

/** @throws INVALID_OPTION */
export function checkIsTensor(name: string, value: unknown): AnyTensor {
  if (value instanceof Tensor) return value;
  throw invalidOption(name, 'a Tensor', value);
}

/** True for a tensor in device memory or a non-empty list of them. */
export function isTensorRef(value: unknown): value is TensorRef | readonly TensorRef[] {
  const refs: readonly unknown[] = Array.isArray(value) ? value : [value];
  return refs.length > 0 && refs.every((ref) => ref instanceof TensorRef);
}

/** @throws INVALID_OPTION for a value that is neither a Tensor nor one or several TensorRefs */
export function checkTensorOrRef(name: string, value: unknown): void {
  if (!isTensorRef(value) && !(value instanceof Tensor))
    throw invalidOption(name, 'a Tensor, a TensorRef or a list of TensorRefs', value);
}

/**
 * Checks sizes and counts, each an integer from 1 to 2^20 or undefined.
 * @param names accepted names; by default any name is accepted
 * @throws INVALID_OPTION
 */
export function checkSizes(sizes: object, ...names: string[]): void {
  if (names.length > 0) knownKeys('size', sizes, new Set(names));
  for (const [name, size] of Object.entries(sizes)) {
    const fits = Number.isSafeInteger(size) && size >= 1 && size <= MAX_SIZE;
    if (size !== undefined && !fits) throw invalidOption(name, `an integer between 1 and ${MAX_SIZE}`, size);
  }
}

/** Number of images and their size in pixels. */
export interface ImageSize {
  readonly batch?: number;
  readonly height?: number;
  readonly width?: number;
}

/** @throws INVALID_OPTION */
export function checkEntry(entry: unknown, ...entries: string[]): void {
  if (!entries.some((name) => name === entry))
    throw invalidOption('entry', `one of ${entries.join(', ')}`, entry);
}

/** Largest size accepted, so that a typing error does not plan a graph of terabytes. */
const MAX_SIZE = 2 ** 20;

const LOAD_KEYS: ReadonlySet<string> = new Set(loadKeys);

/** @throws INVALID_OPTION */
export function checkLoad(options: LoadOptions): void {
  knownKeys('options', options, LOAD_KEYS);
  checkSignal('signal', options.signal);
  checkCallback('onProgress', options.onProgress);
  checkCallback('onWarning', options.onWarning);
  checkFlags(options, 'stockOps');
  const { threads, storage, memory, precision } = options;
  if (precision !== undefined) oneOf('precision', precision, precisions);
  if (storage !== undefined) oneOf('storage', storage, storageTypes);
  if (memory !== undefined) oneOf('memory', memory, memoryModes);
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 0 && threads <= 1024))
    throw invalidOption('threads', 'an integer between 0 and 1024', threads);
}

/** Checks a component description as `openModel` returns it. @throws INVALID_OPTION */
export function checkSource<T extends { readonly config: object; readonly weights: ComponentWeights }>(
  source: T,
): T {
  const { config, weights } = Object(source) as { config?: unknown; weights?: unknown };
  if (typeof config !== 'object' || config === null || !(weights instanceof ComponentWeights))
    throw invalidOption('source', 'a component returned by openModel ({ config, weights })', source);
  return source;
}
