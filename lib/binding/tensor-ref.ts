import { invalidOption, SafelightError } from '../errors.js';
import { guarded, settle } from './task.js';
import type { BackendName, NativeInput, NativeTensor, NativeTensorHandle } from './types.js';

let nativeHandle: (ref: TensorRef) => NativeTensorHandle;

/**
 * A tensor in the memory of a device: an output that a run kept there (`RunOptions.keep`), usable as an input of
 * modules on the same device. It outlives the module that computed it. Its memory is freed once it and all its slices
 * are disposed of or garbage-collected.
 */
export class TensorRef implements Disposable {
  static {
    nativeHandle = (ref) => ref.#open();
  }

  #handle: NativeTensorHandle | undefined;
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'i32';
  /** Size of the values in bytes; a slice's are part of the sliced tensor's. */
  readonly bytes: number;
  /** ggml's name of the device. */
  readonly device: string;

  /** Called by `NativeModule.run`. */
  constructor(
    handle: NativeTensorHandle,
    readonly backend: BackendName,
  ) {
    this.#handle = handle;
    this.shape = Object.freeze([...handle.shape]);
    this.dtype = handle.type;
    this.bytes = handle.bytes;
    this.device = handle.device;
  }

  /**
   * Returns rows [from, to) of the first dimension, in the same memory.
   * @throws INVALID_OPTION, DISPOSED
   */
  slice(from: number, to: number): TensorRef {
    const [rows = 0] = this.shape;
    if (!Number.isInteger(from) || from < 0 || from >= rows)
      throw invalidOption('from', `an integer between 0 and ${rows - 1}`, from);
    if (!Number.isInteger(to) || to <= from || to > rows)
      throw invalidOption('to', `an integer between ${from + 1} and ${rows}`, to);
    return new TensorRef(
      guarded(() => this.#open().slice(from, to)),
      this.backend,
    );
  }

  /**
   * Copies the values to the host.
   * @throws DISPOSED, OUT_OF_MEMORY, ABORTED
   */
  async read(signal?: AbortSignal): Promise<NativeTensor> {
    return settle(() => this.#open().read(), signal);
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  /**
   * Disposes of this reference. Current runs and reads still complete; slices are disposed of separately. Further calls
   * have no effect.
   */
  dispose(): void {
    this.#handle?.dispose();
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #open(): NativeTensorHandle {
    if (this.#handle) return this.#handle;
    throw new SafelightError('DISPOSED', 'The TensorRef was disposed and can no longer be used');
  }
}

/** An input of a run; several `TensorRef`s are concatenated along the batch dimension. */
export type ModuleInput = NativeTensor | TensorRef | readonly TensorRef[];

/**
 * Converts an input for the addon.
 * @throws INVALID_OPTION for a tensor on another backend, DISPOSED
 */
export function nativeInput(name: string, input: ModuleInput, backend: BackendName): NativeInput {
  if (input instanceof TensorRef) return handleOn(backend, name, input);
  return isList(input) ? input.map((ref) => handleOn(backend, name, ref)) : input;
}

function isList(input: ModuleInput): input is readonly TensorRef[] {
  return Array.isArray(input);
}

/** Each backend is a separate addon, which cannot access the tensors of another one. */
function handleOn(backend: BackendName, name: string, ref: unknown): NativeTensorHandle {
  if (!(ref instanceof TensorRef)) throw invalidOption(name, 'a TensorRef, or an array of TensorRefs', ref);
  if (ref.backend === backend) return nativeHandle(ref);
  throw new SafelightError(
    'INVALID_OPTION',
    `The input ${name} is on ${ref.device} (${ref.backend}), but this module is on ${backend}: call read() and pass its result`,
  );
}
