import { type ChosenBackend, chooseBackend } from '../binding/backends.js';
import { NativeModule, requirements } from '../binding/module.js';
import type { ModuleInput, TensorRef } from '../binding/tensor-ref.js';
import type {
  MemoryInfo,
  ModuleKind,
  NativeConfig,
  NativeTensor,
  NodeInfo,
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
import { availableMemory, checkFit, TAKE_LESS, weightBytes } from './fit.js';
import type { CallOptions, LoadOptions } from './module-options.js';
import { planPatches } from './patch-plan.js';
import { checkPatches, tensorsOf, type WeightPatch } from './weight-patch.js';
import { withWholeRows } from './whole-rows.js';

export { type CallOptions, type LoadOptions, type MemoryMode, memoryModes } from './module-options.js';

/** What every run tells besides its outputs. */
export interface CallResult {
  readonly taps: Readonly<Record<string, Tensor>>;
  /** Milliseconds. */
  readonly timings: RunResult['timings'];
}

/** What a run gives. */
export interface ModuleResult extends CallResult {
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Those of the outputs that are indices. */
  readonly integers: Readonly<Record<string, Tensor<Int32Array>>>;
  /** Outputs that stayed on the module's device. */
  readonly kept: Readonly<Record<string, TensorRef>>;
}

/** What the typed wrappers share: a native module, its config, and its end. */
export abstract class LoadedModule<Config> implements AsyncDisposable {
  private readonly needs = new Map<string, number>();

  protected constructor(
    readonly config: Config,
    private readonly module: NativeModule,
  ) {}

  /** Bytes of weights, and of the buffers that the largest run so far needed. */
  memory(): MemoryInfo {
    return this.module.memory();
  }

  get disposed(): boolean {
    return this.module.disposed;
  }

  /** Gives memory back; runs under way reject with DISPOSED. Safe to call again. */
  dispose(): void {
    this.module.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  /**
   * Registers a set of weight patches under a name that runs can request (`CallOptions.patches`). It replaces a set of the same name; an
   * empty list frees it. Runs queued before are not affected.
   *
   * Weights in f32, f16 or bf16 that are in memory are copied and the copies patched, so that a run is as fast as without patches.
   * Low-rank and full changes of quantized or memory-mapped weights are computed next to the weight's own product; other changes of such
   * weights are written to a copy in q8_0 or f16.
   * @throws ADAPTER_MISMATCH for a weight that the module does not have, or has in another shape, UNSUPPORTED_ADAPTER, INVALID_OPTION,
   *   INVALID_FILE, FILE_NOT_FOUND, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async setPatches(
    id: string,
    patches: readonly WeightPatch[],
    options: Pick<CallOptions, 'signal'> = {},
  ): Promise<void> {
    if (typeof id !== 'string' || id === '') throw invalidOption('id', 'a name', id);
    checkPatches(patches);
    knownKeys('options', options, new Set(['signal']));
    const signal = checkSignal('signal', options.signal);
    await verifyTensors(tensorsOf(patches), signal);
    await this.module.setPatches(id, planPatches(patches, this.module.weights), signal);
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

  /** Frees what entries keep between runs under this name. */
  protected release(session: string): void {
    this.module.release(session);
  }

  /** Bytes of the buffers that a run of f32 inputs of these shapes needs; asked once for each shape. */
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

/** Everything that is settled about a module before its weights are read. */
export interface PlannedModule {
  readonly plan: WeightPlan;
  readonly where: ChosenBackend;
  /** Whether it takes packed weights (`packModel`) instead of the model's own files. */
  readonly packed: boolean;
  /** Whether weights stay in their files where they can. */
  readonly mapped: boolean;
  /** Whether weights stay in the host's memory though a GPU computes. */
  readonly hostWeights: boolean;
  /** Memory that its weights will take: the host's with `hostWeights`, else the device's. */
  readonly bytes: number;
}

/** @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, BACKEND_UNAVAILABLE */
export async function planModule(
  kind: ModuleKind,
  config: NativeConfig,
  weights: ComponentWeights,
  { backend: wanted = 'auto', storage, memory }: LoadOptions,
): Promise<PlannedModule> {
  const own = weights.plan(requirements(kind, config), storage);
  const packed = await findPacked(own);
  const plan = packed ?? own;
  const where = chooseBackend(wanted);
  const hostWeights = where.backend !== 'cpu' && memory === 'lean';
  const mapped = hostWeights || (where.backend === 'cpu' && (memory === 'lean' || packed !== undefined));
  return { plan, packed: packed !== undefined, where, mapped, hostWeights, bytes: weightBytes(plan, mapped) };
}

/** Plans the weights of a component and loads them; with `auto` on the CPU where a GPU has too little memory for them. */
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

/** True for an error of memory that there is not, foreseen or met. */
export function isMemoryError(error: unknown): error is SafelightError {
  return error instanceof SafelightError && (error.code === 'OUT_OF_MEMORY' || error.code === 'DOES_NOT_FIT');
}

/** The warning of a fall back to the CPU. */
export function cpuInstead({ message }: SafelightError): string {
  return `Computing on the CPU, as the GPU has too little memory: ${message}`;
}

async function loadPlanned(
  kind: ModuleKind,
  config: NativeConfig,
  weights: ComponentWeights,
  { plan, packed, where, mapped, hostWeights, bytes }: PlannedModule,
  { threads = 0, stockOps, memory, signal, onProgress }: LoadOptions,
): Promise<NativeModule> {
  const need = { label: weights.label, bytes };
  checkFit(
    `The ${weights.label}`,
    [need],
    availableMemory(hostWeights ? { backend: 'cpu' } : where),
    TAKE_LESS,
  );
  // What was packed was compared then.
  if (!packed) await weights.verify(plan.entries, signal);
  return withWholeRows(plan, { threads, signal }, (whole) =>
    NativeModule.create(
      kind,
      config,
      whole,
      defined({
        backend: where.backend,
        device: where.device,
        hostWeights: hostWeights || undefined,
        threads,
        stockOps,
        releaseBuffers: memory === 'lean' || undefined,
        mapWeights: mapped || undefined,
        signal,
        onProgress,
      }),
    ),
  );
}

function wrapped(tensors: Record<string, NativeTensor>): Record<string, Tensor> {
  const found: Record<string, Tensor> = {};
  for (const [name, { data, shape }] of Object.entries(tensors))
    if (data instanceof Float32Array) found[name] = Tensor.from(data, shape);
  return found;
}

function integersOf(tensors: Record<string, NativeTensor>): Record<string, Tensor<Int32Array>> {
  const found: Record<string, Tensor<Int32Array>> = {};
  for (const [name, { data, shape }] of Object.entries(tensors))
    if (data instanceof Int32Array) found[name] = Tensor.from(data, shape);
  return found;
}
