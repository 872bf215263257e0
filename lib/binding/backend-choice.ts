/** The `backend` option as text. Loads no addon, so that commands can check it before anything else. */
import { defined } from '../defined.js';
import { invalidOption } from '../errors.js';
import { didYouMean, suggestValue } from '../suggest.js';
import type { BackendChoice, BackendName } from './types.js';

export type GpuBackend = Exclude<BackendName, 'cpu'>;
/** In the order in which `auto` asks. */
export const gpuBackends: readonly GpuBackend[] = ['cuda', 'metal', 'vulkan'];

/** For messages: what `backend` options accept. */
export const BACKEND_FORMS =
  'auto, cpu, cuda, metal or vulkan, or a device of one as in vulkan:1 or cuda:NAME';

export interface ParsedBackend {
  readonly name: 'auto' | BackendName;
  /** The device's index or a part of its name. */
  readonly which?: string;
}

/** `vulkan:1` is the backend and what names the device; undefined for anything else than `BACKEND_FORMS`. */
export function parseBackend(text: unknown): ParsedBackend | undefined {
  if (text === 'auto' || text === 'cpu') return { name: text };
  const [, name, which] = /^(cuda|metal|vulkan)(?::(.+))?$/.exec(typeof text === 'string' ? text : '') ?? [];
  return name === undefined ? undefined : defined({ name: name as GpuBackend, which });
}

/** `did you mean cuda?` for a value that `parseBackend` does not take; undefined where nothing is near. */
export function backendHint(value: unknown): string | undefined {
  return didYouMean(suggestValue(value, ['auto', 'cpu', ...gpuBackends]));
}

/** @throws INVALID_OPTION; whether there is such a device is found out when modules load */
export function checkBackend(value: unknown): BackendChoice {
  if (parseBackend(value)) return value as BackendChoice;
  throw invalidOption('backend', BACKEND_FORMS, value, backendHint(value));
}
