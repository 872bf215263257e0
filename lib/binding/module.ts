import { SafelightError } from '../errors.js';
import { addonOf } from './backends.js';
import { addon } from './binding.js';
import { withoutKernels } from './products.js';
import { guarded, settle } from './task.js';
import { type ModuleInput, nativeInput, TensorRef } from './tensor-ref.js';
import type {
  BackendName,
  MemoryInfo,
  ModuleKind,
  ModuleOptions,
  NativeConfig,
  NativeInput,
  NativeModuleHandle,
  NativeTensor,
  NodeInfo,
  PackedWeight,
  PatchPlan,
  RunOptions,
  RunResult,
  WeightPlan,
  WeightPlanEntry,
  WeightRequirement,
} from './types.js';

export interface CreateOptions extends ModuleOptions {
  /** Cancels the loading between pieces of the weights. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Receives the bytes of the files converted so far, and the total. An error that it throws cancels the loading and is
   * rethrown.
   */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface RunOptionsWithSignal extends RunOptions {
  /**
   * Replaces the results of nodes, by name, with tensors of exactly the node's shape. Uses stock operations, as with
   * taps.
   */
  readonly overrides?: Readonly<Record<string, NativeTensor>> | undefined;
  /** Cancels the run between graph nodes: it rejects with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** The storage of a module's weights. */
export interface StoredWeights {
  readonly parameters: ReadonlyMap<string, Pick<WeightPlanEntry, 'shape' | 'storage'>>;
  /** True if weights stay in their files where possible (`ModuleOptions.mapWeights`). */
  readonly mapped: boolean;
}

/** Prefix of the inputs that replace nodes; `override_prefix` of native/runtime/graph/graph.h. */
const OVERRIDE = 'override ';

export interface ModuleRunResult extends RunResult {
  /** Outputs that stayed on the device, by name. */
  readonly kept: Record<string, TensorRef>;
}

/**
 * A module (text encoder, U-Net, autoencoder) on a backend, run by entry point. Each module has its own thread: runs of
 * one module are queued, different modules run concurrently.
 */
export class NativeModule implements AsyncDisposable {
  #handle: NativeModuleHandle | undefined;

  private constructor(
    readonly kind: ModuleKind,
    handle: NativeModuleHandle,
    private readonly backend: BackendName,
    private readonly device: string | undefined,
    /** The stored form of each parameter. */
    readonly weights: StoredWeights,
  ) {
    this.#handle = handle;
  }

  /**
   * Loads weights and prepares them for the backend.
   *
   * @throws UNSUPPORTED_MODEL or INVALID_OPTION (config), MISSING_TENSOR, SHAPE_MISMATCH, INVALID_FILE (plan),
   *   FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE, ABORTED
   */
  static async create(
    kind: ModuleKind,
    config: NativeConfig,
    plan: WeightPlan,
    options: CreateOptions,
  ): Promise<NativeModule> {
    const { signal, onProgress, ...given } = options;
    const how = { ...given, stockOps: withoutKernels(given.stockOps) };
    const start = () => addonOf(how.backend).createModule(kind, config, plan, how, onProgress);
    const handle = await settle(start, signal, (late) => late.dispose());
    const parameters = new Map(plan.entries.map(({ name, shape, storage }) => [name, { shape, storage }]));
    const weights = { parameters, mapped: how.mapWeights === true };
    return new NativeModule(kind, handle, how.backend, how.device, weights);
  }

  /**
   * Runs an entry point. Inputs are copied before the call returns, except `TensorRef`s, which may be disposed of
   * immediately after it; outputs belong to the caller.
   *
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async run(
    entry: string,
    inputs: Record<string, ModuleInput>,
    options: RunOptionsWithSignal = {},
  ): Promise<ModuleRunResult> {
    const { signal, overrides = {}, ...how } = options;
    const replacements = Object.entries(overrides).map(
      ([node, tensor]) => [OVERRIDE + node, tensor] as const,
    );
    const all = { ...inputs, ...Object.fromEntries(replacements) };
    const start = () => this.#open().run(entry, this.#native(all), how);
    const { kept: handles, ...result } = await settle(start, signal, ({ kept }) => {
      for (const handle of Object.values(kept)) handle.dispose();
    });
    const kept: Record<string, TensorRef> = {};
    for (const [name, handle] of Object.entries(handles)) kept[name] = new TensorRef(handle, this.backend);
    return { ...result, kept };
  }

  /** Returns the bytes of the device buffers that a run with f32 inputs of these shapes would need. */
  async needed(
    entry: string,
    shapes: Record<string, readonly number[]>,
    signal?: AbortSignal,
    patches?: string,
  ): Promise<number> {
    return settle(() => this.#open().needed(entry, shapes, {}, patches), signal);
  }

  /** Returns all nodes that can be tapped in a run with inputs of these shapes. */
  nodes(entry: string, shapes: Record<string, readonly number[]>, params: NativeConfig = {}): NodeInfo[] {
    return guarded(() => this.#open().nodes(entry, shapes, params));
  }

  memory(): MemoryInfo {
    const memory = guarded(() => this.#open().memory());
    return this.device === undefined ? memory : { ...memory, device: this.device };
  }

  /**
   * Writes all weights in the layout of the module's precision to an existing file.
   * @param offset bytes before the first weight
   * @throws FILE_NOT_WRITTEN, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async writePacked(path: string, offset: number, signal?: AbortSignal): Promise<PackedWeight[]> {
    return settle(() => this.#open().writePacked(path, offset), signal);
  }

  /**
   * Registers a patch set under an id for runs (`RunOptions.patches`), replacing a set with the same id; an empty set
   * removes it. Runs already queued are not affected.
   * @throws ADAPTER_MISMATCH, INVALID_OPTION, INVALID_FILE, FILE_NOT_FOUND, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async setPatches(id: string, plan: PatchPlan, signal?: AbortSignal): Promise<void> {
    return settle(() => this.#open().setPatches(id, plan), signal);
  }

  /** Frees the state of a session (see `RunOptions.session`) after the runs already queued. Safe at any time. */
  release(session: string): void {
    guarded(() => this.#handle?.release(session));
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  /**
   * Disposes of the module. Current runs reject with DISPOSED; memory is freed after the last has stopped. Further
   * calls have no effect.
   */
  dispose(): void {
    this.#handle?.dispose();
    this.#handle = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  /** Replaces `TensorRef`s by native handles. */
  #native(inputs: Record<string, ModuleInput>): Record<string, NativeInput> {
    const native: Record<string, NativeInput> = {};
    for (const [name, input] of Object.entries(inputs ?? {}))
      native[name] = nativeInput(name, input, this.backend);
    return native;
  }

  #open(): NativeModuleHandle {
    if (this.#handle) return this.#handle;
    throw new SafelightError('DISPOSED', `The ${this.kind} was disposed and can no longer be used`);
  }
}

/**
 * Returns the parameters that a module with this config requires.
 *
 * @throws UNSUPPORTED_MODEL or INVALID_OPTION for an invalid config
 */
export function requirements(kind: ModuleKind, config: NativeConfig): WeightRequirement[] {
  return guarded(() => addon().requirements(kind, config));
}
