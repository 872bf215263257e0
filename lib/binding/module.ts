import { SafelightError } from '../errors.js';
import { addonOf } from './backends.js';
import { addon } from './binding.js';
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
  PatchPlan,
  RunOptions,
  RunResult,
  WeightPlan,
  WeightPlanEntry,
  WeightRequirement,
} from './types.js';

export interface CreateOptions extends ModuleOptions {
  /** Stops the loading between pieces of the weights. */
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the files converted so far, and of all. What it throws stops the loading and is rethrown. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface RunOptionsWithSignal extends RunOptions {
  /** Values of nodes in the place of what they compute, by name, each of exactly the node's shape. Runs stock operations, as with taps. */
  readonly overrides?: Readonly<Record<string, NativeTensor>> | undefined;
  /** Stops the run between graph nodes: it rejects with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** How a module's weights are stored. */
export interface StoredWeights {
  readonly parameters: ReadonlyMap<string, Pick<WeightPlanEntry, 'shape' | 'storage'>>;
  /** True if weights stay in their files where possible (`ModuleOptions.mapWeights`). */
  readonly mapped: boolean;
}

/** Begins the inputs that stand in the place of nodes; `override_prefix` of native/runtime/graph/graph.h. */
const OVERRIDE = 'override ';

export interface ModuleRunResult extends RunResult {
  /** Outputs that stayed on the device, by name. */
  readonly kept: Record<string, TensorRef>;
}

/**
 * A module (text encoder, U-Net, autoencoder) on a backend, run by entry point. It has a thread of its own; runs of one module
 * queue up, modules run at the same time.
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
   * Loads weights and readies them for the backend.
   *
   * @throws SafelightError UNSUPPORTED_MODEL or INVALID_OPTION (config), MISSING_TENSOR, SHAPE_MISMATCH, INVALID_FILE (plan),
   *   FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE, ABORTED
   */
  static async create(
    kind: ModuleKind,
    config: NativeConfig,
    plan: WeightPlan,
    options: CreateOptions,
  ): Promise<NativeModule> {
    const { signal, onProgress, ...how } = options;
    const start = () => addonOf(how.backend).createModule(kind, config, plan, how, onProgress);
    const handle = await settle(start, signal, (late) => late.dispose());
    const parameters = new Map(plan.entries.map(({ name, shape, storage }) => [name, { shape, storage }]));
    const weights = { parameters, mapped: how.mapWeights === true };
    return new NativeModule(kind, handle, how.backend, how.device, weights);
  }

  /**
   * Runs an entry point. Inputs are copied when the call is made, except those that earlier runs kept, which may be disposed of as soon
   * as it is made; outputs are the caller's.
   *
   * @throws SafelightError INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async run(
    entry: string,
    inputs: Record<string, ModuleInput>,
    options: RunOptionsWithSignal = {},
  ): Promise<ModuleRunResult> {
    const { signal, overrides = {}, ...how } = options;
    const given = Object.entries(overrides).map(([node, tensor]) => [OVERRIDE + node, tensor] as const);
    const all = { ...inputs, ...Object.fromEntries(given) };
    const start = () => this.#open().run(entry, this.#native(all), how);
    const { kept: handles, ...result } = await settle(start, signal, ({ kept }) => {
      for (const handle of Object.values(kept)) handle.dispose();
    });
    const kept: Record<string, TensorRef> = {};
    for (const [name, handle] of Object.entries(handles)) kept[name] = new TensorRef(handle, this.backend);
    return { ...result, kept };
  }

  /** Bytes of the buffers on the device that a run of f32 inputs of these shapes would need. */
  async needed(
    entry: string,
    shapes: Record<string, readonly number[]>,
    signal?: AbortSignal,
    patches?: string,
  ): Promise<number> {
    return settle(() => this.#open().needed(entry, shapes, {}, patches), signal);
  }

  /** Everything that can be tapped in a run of inputs of these shapes. */
  nodes(entry: string, shapes: Record<string, readonly number[]>, params: NativeConfig = {}): NodeInfo[] {
    return guarded(() => this.#open().nodes(entry, shapes, params));
  }

  memory(): MemoryInfo {
    const memory = guarded(() => this.#open().memory());
    return this.device === undefined ? memory : { ...memory, device: this.device };
  }

  /**
   * Registers a patch set under a name that runs can give (`RunOptions.patches`), in the place of one that has it. Without patches the name
   * is forgotten. Runs that were queued before are not affected.
   * @throws SafelightError ADAPTER_MISMATCH, INVALID_OPTION, INVALID_FILE, FILE_NOT_FOUND, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async setPatches(id: string, plan: PatchPlan, signal?: AbortSignal): Promise<void> {
    return settle(() => this.#open().setPatches(id, plan), signal);
  }

  /** Frees what a session keeps between runs (see `RunOptions.session`), once the runs queued before are done. Safe at any time. */
  release(session: string): void {
    guarded(() => this.#handle?.release(session));
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  /** Runs under way reject with DISPOSED; memory returns once the last has stopped. Safe to call again. */
  dispose(): void {
    this.#handle?.dispose();
    this.#handle = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  /** Handles in the place of `TensorRef`s. */
  #native(inputs: Record<string, ModuleInput>): Record<string, NativeInput> {
    const found: Record<string, NativeInput> = {};
    for (const [name, input] of Object.entries(inputs ?? {}))
      found[name] = nativeInput(name, input, this.backend);
    return found;
  }

  #open(): NativeModuleHandle {
    if (this.#handle) return this.#handle;
    throw new SafelightError('DISPOSED', `The ${this.kind} was disposed and cannot be used any more`);
  }
}

/**
 * The parameters that a module of this config needs.
 *
 * @throws SafelightError UNSUPPORTED_MODEL or INVALID_OPTION for a config that makes no sense
 */
export function requirements(kind: ModuleKind, config: NativeConfig): WeightRequirement[] {
  return guarded(() => addon().requirements(kind, config));
}
