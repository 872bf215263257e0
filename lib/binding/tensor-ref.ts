import { invalidOption, SafelightError } from '../errors.js';
import { guarded, settle } from './task.js';
import type { BackendName, NativeInput, NativeTensor, NativeTensorHandle } from './types.js';

let nativeHandle: (ref: TensorRef) => NativeTensorHandle;

/**
 * A tensor in the memory of a device: an output that a run kept there (`RunOptions.keep`) for modules on the same device to take as an
 * input. It outlives the module that computed it. Its memory is freed when it and all its slices are disposed of or collected as garbage.
 */
export class TensorRef implements Disposable {
  static {
    nativeHandle = (ref) => ref.#open();
  }

  #handle: NativeTensorHandle | undefined;
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'i32';
  /** Bytes of its values; a slice's are part of those of the tensor that it was taken from. */
  readonly bytes: number;
  /** ggml's name of the device. */
  readonly device: string;

  /** Made by `NativeModule.run`. */
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
   * Rows [from, to) of the first dimension, in the same memory.
   * @throws SafelightError INVALID_OPTION, DISPOSED
   */
  slice(from: number, to: number): TensorRef {
    const [rows = 0] = this.shape;
    if (!Number.isInteger(from) || from < 0 || from >= rows)
      throw invalidOption('from', `integer between 0 and ${rows - 1}`, from);
    if (!Number.isInteger(to) || to <= from || to > rows)
      throw invalidOption('to', `integer between ${from + 1} and ${rows}`, to);
    return new TensorRef(
      guarded(() => this.#open().slice(from, to)),
      this.backend,
    );
  }

  /**
   * Copies the values to the host.
   * @throws SafelightError DISPOSED, OUT_OF_MEMORY, ABORTED
   */
  async read(signal?: AbortSignal): Promise<NativeTensor> {
    return settle(() => this.#open().read(), signal);
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  /** Runs and reads under way still have it; slices are disposed of on their own. Safe to call again. */
  dispose(): void {
    this.#handle?.dispose();
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #open(): NativeTensorHandle {
    if (this.#handle) return this.#handle;
    throw new SafelightError('DISPOSED', 'The TensorRef was disposed and cannot be used any more');
  }
}

/** An input of a run; several that were kept are joined along the batch. */
export type ModuleInput = NativeTensor | TensorRef | readonly TensorRef[];

/**
 * An input as the addon takes it.
 * @throws SafelightError INVALID_OPTION for a tensor that was kept on another backend, DISPOSED
 */
export function nativeInput(name: string, input: ModuleInput, backend: BackendName): NativeInput {
  if (input instanceof TensorRef) return handleOn(backend, name, input);
  return isList(input) ? input.map((ref) => handleOn(backend, name, ref)) : input;
}

function isList(input: ModuleInput): input is readonly TensorRef[] {
  return Array.isArray(input);
}

/** Each backend is an addon of its own, which cannot read what another one has made. */
function handleOn(backend: BackendName, name: string, ref: unknown): NativeTensorHandle {
  if (!(ref instanceof TensorRef)) throw invalidOption(name, 'TensorRefs', ref);
  if (ref.backend === backend) return nativeHandle(ref);
  throw new SafelightError(
    'INVALID_OPTION',
    `The input ${name} was kept on ${ref.device} (${ref.backend}), but this module is on ${backend}: read it and pass its data instead`,
  );
}
