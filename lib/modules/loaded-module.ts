import { type ChosenBackend, chooseBackend } from '../binding/backends.js';
import { NativeModule, requirements } from '../binding/module.js';
import { packedLayout, productsOf } from '../binding/products.js';
import type { ModuleInput, TensorRef } from '../binding/tensor-ref.js';
import type {
  MemoryInfo,
  ModuleKind,
  NativeConfig,
  NativeTensor,
  NodeInfo,
  PackedWeights,
  Products,
  RunResult,
  WeightPlan,
} from '../binding/types.js';
import { findPacked } from '../checkpoint/formats/packed-cache.js';
import { verifyTensors } from '../checkpoint/formats/verify.js';
import type { ComponentWeights } from '../checkpoint/weights/component.js';
import { defined } from '../defined.js';
import { invalidOption, SafelightError } from '../errors.js';
import { checkSignal, knownKeys } from '../known-keys.js';
import { Tensor } from '../tensor/tensor.js';
import { checkIsTensor, checkLoad, isTensorRef } from './check-call.js';
import { availableMemory, checkFit, packedWeightBytes, REDUCE_WEIGHTS, weightBytes } from './memory-fit.js';
import type { CallOptions, LoadOptions } from './module-options.js';
import { patchBytes, planPatches } from './patch-plan.js';
import { withRowBlocks } from './row-blocks.js';
import { checkPatches, tensorsOf, type WeightPatch } from './weight-patch.js';

export {
  type CallOptions,
  type LoadOptions,
  type MemoryMode,
  memoryModes,
  type Precision,
  precisions,
} from './module-options.js';

/** Taps and timings of a run, returned with its outputs. */
export interface CallResult {
  /** Values of the nodes named in `CallOptions.taps`. */
  readonly taps: Readonly<Record<string, Tensor>>;
  /** In milliseconds. */
  readonly timings: RunResult['timings'];
}

/** Result of a run. */
export interface ModuleResult extends CallResult {
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** The i32 outputs, such as code indices. */
  readonly integers: Readonly<Record<string, Tensor<Int32Array>>>;
  /** Outputs left in the memory of the module's device. */
  readonly kept: Readonly<Record<string, TensorRef>>;
}

/** Base of the typed wrappers: a native module with its config and disposal. */
export abstract class LoadedModule<Config> implements AsyncDisposable {
  private readonly needs = new Map<string, number>();

  protected constructor(
    readonly config: Config,
    private readonly module: NativeModule,
  ) {}

  /** Returns the bytes of the weights and of the compute buffers of the largest run so far. */
  memory(): MemoryInfo {
    return this.module.memory();
  }

  get disposed(): boolean {
    return this.module.disposed;
  }

  /** Frees the module's memory; pending runs reject with DISPOSED. Safe to call again. */
  dispose(): void {
    this.module.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  /**
   * Registers a patch set (changes to the weights, such as LoRAs) under a name that runs select with
   * `CallOptions.patches`. Replaces an earlier set of the same name; an empty array frees it. The loaded weights are not
   * modified, and runs that are already queued are not affected.
   *
   * Weights in f32, f16 or bf16 that are in memory are copied and the copies patched, so that runs are as fast as
   * without patches. Low-rank and full changes of quantized or memory-mapped weights are computed next to the weight's
   * own product; other changes of such weights are written to a copy in q8_0 or f16.
   * @throws ADAPTER_MISMATCH for a weight that the module does not have, or has in another shape,
   *   UNSUPPORTED_ADAPTER, INVALID_OPTION, INVALID_FILE, FILE_NOT_FOUND, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async setPatches(
    id: string,
    patches: readonly WeightPatch[],
    options: Pick<CallOptions, 'signal'> = {},
  ): Promise<void> {
    if (typeof id !== 'string' || id === '') throw invalidOption('id', 'a non-empty string', id);
    checkPatches(patches);
    knownKeys('options', options, new Set(['signal']));
    const signal = checkSignal('signal', options.signal);
    await verifyTensors(tensorsOf(patches), signal);
    await this.module.setPatches(id, planPatches(patches, this.module.weights), signal);
  }

  /** Returns the bytes that a patch set would take. */
  patchBytes(patches: readonly WeightPatch[]): number {
    return patchBytes(patches, this.module.weights);
  }

  protected async call(
    entry: string,
    inputs: Record<string, ModuleInput>,
    { signal, taps, overrides, timings, patches }: CallOptions,
    params: NativeConfig = {},
    session?: string,
    keep?: readonly string[],
  ): Promise<ModuleResult> {
    for (const [name, input] of Object.entries(inputs)) if (!isTensorRef(input)) checkIsTensor(name, input);
    const options = defined({ params, session, signal, taps, overrides, timings, patches, keep });
    const result = await this.module.run(entry, inputs, options);
    return {
      outputs: wrapped(result.outputs),
      integers: integersOf(result.outputs),
      kept: result.kept,
      taps: wrapped(result.taps),
      timings: result.timings,
    };
  }

  /** Frees the tensors that runs keep under this session name. */
  protected release(session: string): void {
    this.module.release(session);
  }

  /** Returns the bytes of compute buffers for a run with f32 inputs of these shapes; cached per shape. */
  protected async needed(
    entry: string,
    shapes: Record<string, readonly number[]>,
    signal: AbortSignal | undefined,
    patches?: string,
  ): Promise<number> {
    const key = JSON.stringify([entry, shapes, patches]);
    const known = this.needs.get(key) ?? (await this.module.needed(entry, shapes, signal, patches));
    this.needs.set(key, known);
    return known;
  }

  protected listNodes(
    entry: string,
    shapes: Record<string, readonly number[]>,
    params: NativeConfig = {},
  ): NodeInfo[] {
    return this.module.nodes(entry, shapes, params);
  }
}

/** Decisions about loading a module that are made before its weights are read. */
export interface PlannedModule {
  readonly plan: WeightPlan;
  readonly where: ChosenBackend;
  /** True if weights are read from a packed file (`packModel`) instead of the model's files. */
  readonly packed: boolean;
  /** True if weights are memory-mapped where their storage allows it. */
  readonly mapped: boolean;
  /** True if a GPU computes with weights that stay in host memory. */
  readonly hostWeights: boolean;
  /** Number format of the products. */
  readonly products: Products;
  /** True if weights are kept in the layout of the products. */
  readonly packs: boolean;
  /** Weights in this layout, if they were packed. */
  readonly packedWeights: PackedWeights | undefined;
  /** Memory that the weights need: on the host with `hostWeights`, otherwise on the device. */
  readonly bytes: number;
}

/**
 * Chooses the backend and the files that a module's weights are read from.
 * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, BACKEND_UNAVAILABLE
 */
export async function planModule(
  kind: ModuleKind,
  config: NativeConfig,
  weights: ComponentWeights,
  { backend: wanted = 'auto', storage, memory, precision = 'f32', stockOps }: LoadOptions,
): Promise<PlannedModule> {
  const required = requirements(kind, config);
  const unpacked = weights.plan(required, storage);
  const where = chooseBackend(wanted);
  const products = productsOf(precision, where.backend, stockOps);
  const packed = await findPacked(unpacked, packedLayout(products));
  const plan = packed?.plan ?? unpacked;
  const hostWeights = where.backend !== 'cpu' && memory === 'lean';
  const mapped = hostWeights || (where.backend === 'cpu' && (memory === 'lean' || packed !== undefined));
  const packs = products !== 'f32' && memory !== 'lean';
  const packedBytes = packs && packed?.weights === undefined ? packedWeightBytes(required, products) : 0;
  // Weights are packed one after the other and then discarded.
  const bytes = mapped
    ? weightBytes(plan, true) + packedBytes
    : Math.max(weightBytes(plan, false), packedBytes);
  return {
    ...{ plan, packed: packed !== undefined, where, mapped, hostWeights, bytes, products, packs },
    packedWeights: packed?.weights,
  };
}

/**
 * Plans and loads the weights of a component. Backend `auto` falls back to the CPU if the GPU has too little memory.
 */
export async function loadModule(
  kind: ModuleKind,
  config: NativeConfig,
  weights: ComponentWeights,
  options: LoadOptions,
): Promise<NativeModule> {
  checkLoad(options);
  const planned = await planModule(kind, config, weights, options);
  const { where } = planned;
  if (where.warning !== undefined) options.onWarning?.({ code: 'BACKEND_FALLBACK', message: where.warning });
  try {
    return await loadPlanned(kind, config, weights, planned, options);
  } catch (error) {
    const isAuto = options.backend === undefined || options.backend === 'auto';
    if (!isAuto || where.backend === 'cpu' || !isMemoryError(error)) throw error;
    options.onWarning?.({ code: 'BACKEND_FALLBACK', message: cpuInstead(error) });
    return loadModule(kind, config, weights, { ...options, backend: 'cpu' });
  }
}

/** True for OUT_OF_MEMORY and DOES_NOT_FIT. */
export function isMemoryError(error: unknown): error is SafelightError {
  return error instanceof SafelightError && (error.code === 'OUT_OF_MEMORY' || error.code === 'DOES_NOT_FIT');
}

/** Returns the message of the warning for a fallback to the CPU. */
export function cpuInstead({ message }: SafelightError): string {
  return `Computing on the CPU because the GPU has too little memory: ${message}`;
}

async function loadPlanned(
  kind: ModuleKind,
  config: NativeConfig,
  weights: ComponentWeights,
  { plan, packed, where, mapped, hostWeights, bytes, products, packs, packedWeights }: PlannedModule,
  { threads = 0, stockOps, memory, signal, onProgress }: LoadOptions,
): Promise<NativeModule> {
  const need = { label: weights.label, bytes };
  checkFit(
    `The ${weights.label}`,
    [need],
    availableMemory(hostWeights ? { backend: 'cpu' } : where),
    REDUCE_WEIGHTS,
  );
  // Packed weights were verified when they were packed.
  if (!packed) await weights.verify(plan.entries, signal);
  return withRowBlocks(plan, { threads, signal }, (blockPlan) =>
    NativeModule.create(
      kind,
      config,
      blockPlan,
      defined({
        backend: where.backend,
        device: where.device,
        hostWeights: hostWeights || undefined,
        threads,
        stockOps,
        precision: products,
        packWeights: packs || undefined,
        packedWeights,
        discardWeights: (packs && blockPlan === plan) || undefined,
        releaseBuffers: memory === 'lean' || undefined,
        mapWeights: mapped || undefined,
        signal,
        onProgress,
      }),
    ),
  );
}

function wrapped(tensors: Record<string, NativeTensor>): Record<string, Tensor> {
  const result: Record<string, Tensor> = {};
  for (const [name, { data, shape }] of Object.entries(tensors))
    if (data instanceof Float32Array) result[name] = Tensor.from(data, shape);
  return result;
}

function integersOf(tensors: Record<string, NativeTensor>): Record<string, Tensor<Int32Array>> {
  const result: Record<string, Tensor<Int32Array>> = {};
  for (const [name, { data, shape }] of Object.entries(tensors))
    if (data instanceof Int32Array) result[name] = Tensor.from(data, shape);
  return result;
}
