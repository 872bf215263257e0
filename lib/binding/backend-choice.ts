/** Parses the `backend` option. Does not load an addon, so that commands can validate the option first. */
import { defined } from '../defined.js';
import { invalidOption } from '../errors.js';
import { didYouMean, suggestValue } from '../suggest.js';
import type { BackendChoice, BackendName } from './types.js';

export type GpuBackend = Exclude<BackendName, 'cpu'>;
/** In the order in which `auto` tries them. */
export const gpuBackends: readonly GpuBackend[] = ['cuda', 'metal', 'vulkan'];

/** The accepted values, for messages. */
export const BACKEND_FORMS = 'auto, cpu, cuda, metal or vulkan, or a device such as vulkan:1 or cuda:NAME';

export interface ParsedBackend {
  readonly name: 'auto' | BackendName;
  /** The device's index or a part of its name. */
  readonly which?: string;
}

/** Splits `vulkan:1` into backend and device; undefined for a value that is not one of `BACKEND_FORMS`. */
export function parseBackend(text: unknown): ParsedBackend | undefined {
  if (text === 'auto' || text === 'cpu') return { name: text };
  const [, name, which] = /^(cuda|metal|vulkan)(?::(.+))?$/.exec(typeof text === 'string' ? text : '') ?? [];
  return name === undefined ? undefined : defined({ name: name as GpuBackend, which });
}

/** Returns `did you mean cuda?` for an invalid value; undefined if no valid one is near. */
export function backendHint(value: unknown): string | undefined {
  return didYouMean(suggestValue(value, ['auto', 'cpu', ...gpuBackends]));
}

/** @throws INVALID_OPTION for an invalid value; the existence of the device is checked when modules are loaded */
export function checkBackend(value: unknown): BackendChoice {
  if (parseBackend(value)) return value as BackendChoice;
  throw invalidOption('backend', BACKEND_FORMS, value, backendHint(value));
}
