/** Options for loading a module and for its runs. */
import type { BackendChoice, StorageType } from '../binding/types.js';
import type { Tensor } from '../tensor/tensor.js';
import type { OnWarning } from '../warnings.js';

/** Trade-offs between memory and speed. */
export const memoryModes = ['fast', 'balanced', 'lean'] as const;
export type MemoryMode = (typeof memoryModes)[number];

/** Number formats of products that can be requested. */
export const precisions = ['f32', 'bf16', 'int8', 'auto'] as const;
export type Precision = (typeof precisions)[number];

/** Names of the options for loading a module, which pipelines have too. */
export const loadKeys = [
  'backend',
  'storage',
  'threads',
  'stockOps',
  'precision',
  'memory',
  'signal',
  'onProgress',
  'onWarning',
] as const satisfies readonly (keyof LoadOptions)[];
export type LoadKey = (typeof loadKeys)[number];

/** Options for loading a module. */
export interface LoadOptions {
  /** `auto` (the default) uses a GPU if one can be opened and has enough memory, otherwise the CPU. */
  readonly backend?: BackendChoice | undefined;
  /** Storage of the weights in memory; by default the storage of the file. */
  readonly storage?: StorageType | undefined;
  /** CPU threads, 0 to 1024; 0 (the default) uses one thread per physical core. */
  readonly threads?: number | undefined;
  /** Uses only the stock ggml operations, as on GPUs; the reference that Safelight's CPU kernels are tested against. */
  readonly stockOps?: boolean | undefined;
  /**
   * Number format of the CPU's products (docs/precision.md): `f32` (the default); `bf16`; `int8`, which computes linear
   * layers in int8 and the rest in bf16; or `auto`, which is bf16 on processors with units for it. Weights are kept in
   * the layout of these products instead of their storage, except with `memory: 'lean'`. Runs with taps or edits read
   * them from their files again and reject with INVALID_FILE if those have changed.
   */
  readonly precision?: Precision | undefined;
  /**
   * `balanced` (the default) reads weights into memory and encodes and decodes images in tiles of 1024 pixels. `fast`
   * uses tiles of 2048 pixels, which is faster for several times the memory (docs/memory.md). `lean` maps weights
   * from their files where the CPU can compute with the stored bytes, and uses tiles of 256 pixels; a model file in
   * use may then be replaced by renaming but must not be rewritten in place. On a GPU, `lean` keeps weights in host
   * memory and copies them to the device when needed.
   */
  readonly memory?: MemoryMode | undefined;
  /** Aborts loading. */
  readonly signal?: AbortSignal | undefined;
  /** Receives the bytes converted so far and in total. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Receives a BACKEND_FALLBACK warning if `auto` falls back from a GPU to the CPU. */
  readonly onWarning?: OnWarning | undefined;
}

/** Options accepted by every run. */
export interface CallOptions {
  /** Aborts the run between two graph nodes. */
  readonly signal?: AbortSignal | undefined;
  /** Names of nodes (see `nodes`) whose values to return. */
  readonly taps?: readonly string[] | undefined;
  /** Values that replace those of the named nodes, each of exactly the shape of the node. */
  readonly overrides?: Readonly<Record<string, Tensor>> | undefined;
  /** Measures the time of each named node. */
  readonly timings?: boolean | undefined;
  /** Name of the patch set (see `setPatches`) to apply; by default the weights are used as loaded. */
  readonly patches?: string | undefined;
}
