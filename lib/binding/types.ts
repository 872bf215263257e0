/**
 * Types of the C++ addon's interface. The addon implements modules (a kind, a config, weights); pipelines and all
 * decisions are in TypeScript.
 */

/** A device that computes. */
export interface BackendInfo {
  /** `cpu`, `cuda`, `metal` or `vulkan`. */
  readonly name: BackendName;
  /** ggml's name of the device, such as `CPU` or `CUDA0`. */
  readonly device: string;
  /** The driver's name of the device. */
  readonly description: string;
  /** `integrated` GPUs share the machine's memory. */
  readonly type: 'cpu' | 'gpu' | 'integrated';
  /** Memory in bytes; 0 if the driver does not state it. */
  readonly memory: { readonly free: number; readonly total: number };
  /** Instruction set of the CPU's kernels, such as `avx2`; the environment variable SAFELIGHT_ISA selects another. */
  readonly kernels?: string;
  /** Precisions whose products this instruction set computes directly; the others are rounded and computed in f32. */
  readonly products?: readonly Products[];
  /** True if it can be used; otherwise `problem` is the reason. */
  readonly opens: boolean;
  readonly problem?: string;
}
export type BackendName = 'cpu' | 'cuda' | 'metal' | 'vulkan';
/** `auto`, a backend, or a device of a backend by index (`vulkan:1`) or by a part of its name (`cuda:4090`). */
export type BackendChoice = 'auto' | BackendName | `${Exclude<BackendName, 'cpu'>}:${string}`;

/**
 * Types in which weights can be written and stored; arithmetic is f32 for every type. The quantized types are ggml's:
 * blocks of 32 (`_0`) or 256 (`_K`) weights with a scale.
 */
export type StorageType = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q5_0' | 'q4_0' | 'q4_K' | 'q5_K' | 'q6_K';

/**
 * Quantized types that Safelight does not write: weights of a GGUF file can be kept in them, or converted to others.
 */
export type ReadOnlyType =
  | ('q4_1' | 'q5_1' | 'q2_K' | 'q3_K' | 'iq1_s' | 'iq1_m' | 'iq2_xxs' | 'iq2_xs' | 'iq2_s' | 'iq3_xxs')
  | ('iq3_s' | 'iq4_nl' | 'iq4_xs' | 'tq1_0' | 'tq2_0' | 'mxfp4' | 'nvfp4' | 'q1_0');

/** Number formats of products. */
export type Products = 'f32' | 'bf16' | 'int8';

/** Quantized types with GGUF's names. */
export type BlockType = Uppercase<Exclude<StorageType, 'f32' | 'f16' | 'bf16'> | ReadOnlyType>;

/**
 * Element types of weights in files, with safetensors' and GGUF's names. Codes have scales: `I8`, `I4` (two in a byte, the
 * first in its lower half) and `F4_E2M1` (the first in its upper half).
 */
export type SourceType = 'F64' | 'F32' | 'F16' | 'BF16' | 'F8_E4M3' | 'F8_E5M2' | CodeType | BlockType;
export type CodeType = 'I8' | 'I4' | 'F4_E2M1';

/**
 * The scales of a weight that is stored as codes: a value is code · scale · factor. Each run of `rotation` columns is then
 * multiplied by a Hadamard matrix. All offsets are absolute, in the weight's file.
 */
export interface WeightScale {
  readonly offset: number;
  readonly type: 'F32' | 'F16' | 'BF16' | 'F8_E4M3' | 'F8_E8M0';
  /** Number of scales: 1, one per row, or with `block` one per block in tiles of 128 rows and 4 blocks. */
  readonly count: number;
  /** Columns per scale. Default whole rows. */
  readonly block?: number;
  /** Offset of an f32 number by which all scales are multiplied. */
  readonly factor?: number;
  /** A power of 4 that divides the columns. */
  readonly rotation?: number;
}

export type ModuleKind =
  | 'text_encoder'
  | 'bert_encoder'
  | 't5_encoder'
  | 'unet'
  | 'autoencoder_kl'
  | 'tiny_autoencoder'
  | 'vq_model'
  | 'latent_transformer'
  | 'patch_discriminator'
  | 'lpips'
  | 'rrdb_net'
  | 'compact'
  | 'swinir'
  | 'dat';

/** Plain data for C++: numbers, booleans, strings, and arrays and objects of them. */
export type ConfigValue =
  | null
  | boolean
  | number
  | string
  | readonly ConfigValue[]
  | { readonly [key: string]: ConfigValue };
export type NativeConfig = { readonly [key: string]: ConfigValue };

/** A parameter that a module with some config requires. */
export interface WeightRequirement {
  /** Canonical (diffusers or transformers) name, such as `down_blocks.0.resnets.0.conv1.weight`. */
  readonly name: string;
  /** Shape in PyTorch's order. */
  readonly shape: readonly number[];
  /**
   * The use of the parameter, which restricts its storage: `matrix` (linear layers and 1x1 convolutions) any storage,
   * `conv` (larger filters) and `embedding` f32, f16 or bf16, `vector` (norms, biases) only f32.
   */
  readonly role: 'matrix' | 'conv' | 'embedding' | 'vector';
}

/** The source and the storage of a parameter. */
export interface WeightPlanEntry {
  readonly name: string;
  /**
   * Shape after the transform in PyTorch's order; equals the required shape except for dimensions of 1 (`[C, C, 1, 1]`
   * is `[C, C]`).
   */
  readonly shape: readonly number[];
  readonly source: {
    /** Index into `WeightPlan.files`. */
    readonly file: number;
    /** Absolute byte offset in the file. */
    readonly offset: number;
    /** Length in bytes. */
    readonly length: number;
    readonly type: SourceType;
    readonly shape: readonly number[];
    /** Strides in elements of a tensor that is not contiguous; `length` then spans the first to the last element. */
    readonly strides?: readonly number[];
    readonly scale?: WeightScale;
  };
  /**
   * `rows`: uses rows [start, end) of the first dimension (a fused in_proj), or of each of `groups` equal groups of
   * rows (heads split before query, key and value); `transpose`: swaps the two dimensions of a matrix.
   */
  readonly transform?:
    | { readonly op: 'rows'; readonly start: number; readonly end: number; readonly groups?: number }
    | { readonly op: 'transpose' };
  /** A `ReadOnlyType` only if the source has that type and no transposition. */
  readonly storage: StorageType | ReadOnlyType;
}

export interface WeightPlan {
  /** Absolute paths. */
  readonly files: readonly string[];
  readonly entries: readonly WeightPlanEntry[];
}

/** Kinds of changes to a parameter; native/runtime/patches computes each. */
export type PatchKind = 'low_rank' | 'full' | 'hadamard' | 'kronecker' | 'multiply' | 'rotate' | 'butterfly';

/** A change of one parameter of a module; a weight plan describes its factors. */
export interface PlannedPatch {
  /** The parameter's canonical name. */
  readonly target: string;
  readonly kind: PatchKind;
  /** Names of the plan's entries by role, such as `up [rows, r]` and `down [r, columns, ...]`; native/runtime/patches lists the roles. */
  readonly factors: Readonly<Record<string, string>>;
  /** Strength of the change. */
  readonly scale: number;
  /** Multiplies the difference before a magnitude is applied; default 1. */
  readonly factor?: number;
  /** Axis of `multiply` and of a magnitude; default `output`. */
  readonly axis?: 'output' | 'input';
  /** Bound of the norm of a rotation's generator; default none. */
  readonly constraint?: number;
  /** Rows [begin, end) of the parameter that change; default all. */
  readonly rows?: readonly [begin: number, end: number];
  /** Columns (inputs) [begin, end) that change; default all. */
  readonly columns?: readonly [begin: number, end: number];
  /** Rows [begin, end) of a Kronecker product that are used; default all. */
  readonly factorRows?: readonly [begin: number, end: number];
}

/** A patch set. Patches of one parameter apply in order, each to the result of the one before. */
export interface PatchPlan {
  readonly weights: WeightPlan;
  readonly patches: readonly PlannedPatch[];
  /**
   * Parameters that are rewritten in a copy, with its storage type. Patches of all others, `low_rank` and `full` only, are computed next to
   * the weight's own product.
   */
  readonly merged: readonly { readonly target: string; readonly storage: StorageType }[];
}

/** A linear combination of an entry with other tensors of its shape: `scale · value + Σ term.scale · other`. */
export interface Blend {
  /** Name of the entry. */
  readonly target: string;
  readonly scale: number;
  /** Terms by their index into the entries of `BlendPlan.weights`. */
  readonly terms: readonly { readonly entry: number; readonly scale: number }[];
  /** Leading columns (dimension 1) of the target that change, all those of the other tensors; default all. */
  readonly columns?: number;
}

export interface BlendPlan {
  /** The other tensors. Their storage is ignored: arithmetic is f32. */
  readonly weights: WeightPlan;
  readonly blends: readonly Blend[];
}

/** Weights to be converted and written into an existing file. */
export interface WriteRequest {
  readonly path: string;
  readonly plan: WeightPlan;
  /** Offset of each entry in the output, in bytes. */
  readonly offsets: readonly number[];
  /** Changes of entries, all of them `merged`; a target is the name of an entry. */
  readonly patches?: PatchPlan;
  /** Names of patched entries whose output is transposed: patches have the rows of the parameter. Required with `patches`. */
  readonly transposed?: readonly string[];
  /** Blends of entries; cannot be combined with `patches`. */
  readonly blends?: BlendPlan;
  /** Number of threads; 0 for the number of physical cores. */
  readonly threads: number;
}

/** A tensor passed to or from the addon: contiguous, C order, PyTorch's shape. */
export interface NativeTensor {
  readonly data: Float32Array | Int32Array;
  readonly shape: readonly number[];
}

/**
 * A tensor that a run kept on its device, or rows of one, which share its memory. It outlives its module; its memory is
 * freed once it is no longer used.
 */
export interface NativeTensorHandle {
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly type: 'f32' | 'i32';
  /** ggml's name of the device. */
  readonly device: string;
  /** Returns rows [from, to) of the first dimension. */
  slice(from: number, to: number): NativeTensorHandle;
  read(): NativeTask<NativeTensor>;
  /** May be called repeatedly, and while a run uses the tensor. */
  dispose(): void;
}

/** An input; several tensors on the device are concatenated along the batch dimension. */
export type NativeInput = NativeTensor | NativeTensorHandle | readonly NativeTensorHandle[];

/** A weight in the layout of the CPU's products in some precision. */
export interface PackedWeight {
  /** Name of the parameter and its layout. */
  readonly key: string;
  /** Absolute byte offset in the file. */
  readonly offset: number;
  /** Length in bytes. */
  readonly length: number;
}

/** A file of packed weights. */
export interface PackedWeights {
  readonly path: string;
  readonly weights: readonly PackedWeight[];
}

export interface ModuleOptions {
  readonly backend: BackendName;
  /** ggml's name of the device; default the backend's first. */
  readonly device?: string;
  /** Keeps weights in host memory and copies them to a GPU when they are needed. */
  readonly hostWeights?: boolean;
  /** Threads of the CPU backend; 0 for the number of physical cores. */
  readonly threads: number;
  /** Builds graphs from stock ggml operations only, as on other backends; the reference for the kernels of the CPU. */
  readonly stockOps?: boolean;
  /** Number format of products; default `f32`. */
  readonly precision?: Products;
  /** Keeps weights in the layout that products in `precision` read, which is faster than packing them in each run. */
  readonly packWeights?: boolean;
  /** Weights in this layout in a file, which are then not packed. Those of another layout are ignored. */
  readonly packedWeights?: PackedWeights;
  /**
   * Frees weights that runs read in this layout only. Other runs (with taps or edits) read them from their files
   * again, which must not have changed (INVALID_FILE).
   */
  readonly discardWeights?: boolean;
  /**
   * Leaves weights in their mapped files if the CPU can use the file's bytes: this takes no private memory and no time
   * to load, but truncating the file ends the process (SIGBUS).
   */
  readonly mapWeights?: boolean;
  /** Frees a run's buffers when it ends, instead of keeping them for the next run with the same shapes. */
  readonly releaseBuffers?: boolean;
}

export interface RunOptions {
  /** Scalars that determine the graph, such as the number of layers to run. */
  readonly params?: NativeConfig;
  /** Names of nodes (from `nodes`) whose values are returned. */
  readonly taps?: readonly string[];
  /** Names of outputs that stay on the module's device instead of being copied to the host. */
  readonly keep?: readonly string[];
  /** Measures each named node (slower: runs node by node). */
  readonly timings?: boolean;
  /**
   * Name of the state for entry points that keep tensors between runs (a KV cache, cross-attention keys and values). It
   * is initialized with zeros, exists until `release` or `dispose`, and is released if a run with it fails or is
   * cancelled after the computation has begun.
   */
  readonly session?: string;
  /** Id of the patch set (see `setPatches`); without one, the weights are unchanged. */
  readonly patches?: string;
}

export interface RunResult {
  /** Outputs except those that stay on the device. */
  readonly outputs: Record<string, NativeTensor>;
  readonly taps: Record<string, NativeTensor>;
  readonly timings: {
    /** Milliseconds to build and allocate the graph, and to compute it. */
    readonly build: number;
    readonly compute: number;
    readonly nodes?: Record<string, number>;
  };
}

export interface NativeRunResult extends RunResult {
  readonly kept: Record<string, NativeTensorHandle>;
}

export interface NodeInfo {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A running call: `promise` settles once; `cancel` may be called at any time, even afterwards. */
export interface NativeTask<T> {
  readonly promise: Promise<T>;
  cancel(): void;
}

export interface MemoryInfo {
  /** Bytes of the weights. */
  readonly weights: number;
  /** Bytes of the compute buffers that the largest run so far needed. */
  readonly compute: number;
  /** Bytes of the states of sessions. */
  readonly sessions: number;
  /** Bytes of the factors of its patch sets. */
  readonly patches: number;
  /** Bytes of outputs on the device that are not disposed of yet. */
  readonly kept: number;
  readonly backend: BackendName;
  /** ggml's name of the GPU. */
  readonly device?: string;
}

/** The addon's class; `lib/binding/module.ts` wraps it with AbortSignal and typed errors. */
export interface NativeModuleHandle {
  run(entry: string, inputs: Record<string, NativeInput>, options: RunOptions): NativeTask<NativeRunResult>;
  /** Returns all nodes that can be tapped for inputs of these shapes. */
  nodes(entry: string, shapes: Record<string, readonly number[]>, params: NativeConfig): NodeInfo[];
  /** Returns the bytes of the buffers that a run with f32 inputs of these shapes would need. */
  needed(
    entry: string,
    shapes: Record<string, readonly number[]>,
    params: NativeConfig,
    patches?: string,
  ): NativeTask<number>;
  memory(): MemoryInfo;
  /**
   * Registers a patch set under an id after the runs already queued, replacing a set with the same id; an empty set is
   * removed and its memory freed. Rejects with ADAPTER_MISMATCH if the module lacks a parameter or its shape differs.
   */
  setPatches(id: string, plan: PatchPlan): NativeTask<void>;
  /**
   * Writes all weights in the layout of the module's precision to an existing file from an offset on. Rejects with
   * FILE_NOT_WRITTEN, OUT_OF_MEMORY, ABORTED.
   */
  writePacked(path: string, offset: number): NativeTask<PackedWeight[]>;
  /** Frees the state of a session after the runs already queued; unknown names are ignored. */
  release(session: string): void;
  /** May be called repeatedly, and during a run (which rejects with DISPOSED); memory is freed after the last run. */
  dispose(): void;
}

/** Exports of the addon. Its errors have a `code` of `ErrorCode`. */
export interface NativeAddon {
  version(): { safelight: string; ggml: string };
  /** Returns the devices of the compiled backends without opening them. */
  backends(): Omit<BackendInfo, 'opens' | 'problem'>[];
  /** Returns the devices that the backend's driver lists and ggml skips. */
  skippedDevices(): { readonly description: string; readonly reason: string }[];
  /** Opens and closes a device. Throws BACKEND_UNAVAILABLE; a driver may also end the process. */
  tryDevice(backend: BackendName, device: string): void;
  physicalCores(): number;
  /** Returns true while calls of this thread are in progress. */
  busy(): boolean;
  /** Ends the process with this exit code, without destructors and exit handlers of native libraries. */
  exit(code: number): never;
  /**
   * Returns the parameters that a module with this config requires. Throws UNSUPPORTED_MODEL or INVALID_OPTION for an
   * invalid config.
   */
  requirements(kind: ModuleKind, config: NativeConfig): WeightRequirement[];
  createModule(
    kind: ModuleKind,
    config: NativeConfig,
    plan: WeightPlan,
    options: ModuleOptions,
    onProgress?: (done: number, total: number) => void,
  ): NativeTask<NativeModuleHandle>;
  /** Converts weights into a file. Rejects with FILE_NOT_WRITTEN if writing fails. */
  writeWeights(request: WriteRequest, onProgress?: (done: number, total: number) => void): NativeTask<void>;
  /**
   * Locks a file exclusively and without waiting, creating it if needed. `unsupported`: the file system has no locks.
   * Throws FILE_NOT_WRITTEN.
   * @param byte position of the byte that Windows locks
   */
  tryLock(path: string, byte: number): NativeFileLock | 'busy' | 'unsupported';
}

/** A held lock. It is released by `release`, by garbage collection and by the end of the process. */
export interface NativeFileLock {
  release(): void;
}
