/** Options of loading a module and of its runs. */
import type { BackendChoice, StorageType } from '../binding/types.js';
import type { Tensor } from '../tensor/tensor.js';
import type { OnWarning } from '../warnings.js';

/** How much memory may be traded for speed. */
export const memoryModes = ['fast', 'balanced', 'lean'] as const;
export type MemoryMode = (typeof memoryModes)[number];

/** How a module is loaded. */
export interface LoadOptions {
  /** `auto` (the default) takes a GPU if there is one that opens and has the memory. */
  readonly backend?: BackendChoice | undefined;
  /** How weights are kept; by default as in their file. */
  readonly storage?: StorageType | undefined;
  /** Threads of the CPU; 0 (the default) is one a physical core. */
  readonly threads?: number | undefined;
  /** Stock ggml operations only, as on GPUs: the oracle of the CPU kernels. */
  readonly stockOps?: boolean | undefined;
  /**
   * `balanced` (the default) reads weights into memory. `fast` does too, and codes images of up to 2048 pixels a side in one piece, where
   * `balanced` computes tiles of 1024 and their overlaps: quicker, for several times the memory (docs/memory.md). `lean` leaves them in their files where the CPU can compute
   * with the file's bytes (the file's own storage), and works in smaller pieces; while it is in use a model file may be replaced by
   * renaming, but not be rewritten in place. On a GPU it keeps weights in the host's memory and copies them over as they are needed.
   */
  readonly memory?: MemoryMode | undefined;
  /** Stops the loading. */
  readonly signal?: AbortSignal | undefined;
  /** Bytes converted so far, and of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Called where `auto` has to leave a GPU for the CPU. */
  readonly onWarning?: OnWarning | undefined;
}

/** What every run may be asked. */
export interface CallOptions {
  /** Stops the run between graph nodes. */
  readonly signal?: AbortSignal | undefined;
  /** Names of nodes (see `nodes`) to read out. */
  readonly taps?: readonly string[] | undefined;
  /** Values of nodes in the place of what they compute, by name, each of exactly the node's shape. */
  readonly overrides?: Readonly<Record<string, Tensor>> | undefined;
  /** Measure each named node. */
  readonly timings?: boolean | undefined;
  /** Name of the patch set (see `setPatches`) to run with; without one, weights are as they were loaded. */
  readonly patches?: string | undefined;
}
