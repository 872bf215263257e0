/**
 * The native seam: what the C++ addon offers, typed. The addon knows modules (a kind, a config, weights), not
 * pipelines; everything that decides is on this side of it.
 */

/** What a computing device is called and holds. */
export interface BackendInfo {
  /** `cpu`, `cuda`, `metal` or `vulkan`. */
  readonly name: BackendName;
  /** ggml's name of the device, such as `CPU` or `CUDA0`. */
  readonly device: string;
  /** What the driver calls it. */
  readonly description: string;
  /** `integrated` shares the machine's memory. */
  readonly type: 'cpu' | 'gpu' | 'integrated';
  /** Bytes; 0 where the driver does not say. */
  readonly memory: { readonly free: number; readonly total: number };
  /** Whether it can be used; `problem` is the reason why not. */
  readonly opens: boolean;
  readonly problem?: string;
}
export type BackendName = 'cpu' | 'cuda' | 'metal' | 'vulkan';
/** `auto`, a backend, or a device of one by its index (`vulkan:1`) or a part of its name (`cuda:4090`). */
export type BackendChoice = 'auto' | BackendName | `${Exclude<BackendName, 'cpu'>}:${string}`;

/**
 * Storage types that weights can be written and kept in; arithmetic is f32 whatever the storage. The quantized ones are ggml's: blocks
 * of 32 (`_0`) or 256 (`_K`) weights with a scale.
 */
export type StorageType = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q5_0' | 'q4_0' | 'q4_K' | 'q5_K' | 'q6_K';

/** Quantized types that are not written: weights in them can be kept as their GGUF file has them, or be converted. */
export type ReadOnlyType =
  | ('q4_1' | 'q5_1' | 'q2_K' | 'q3_K' | 'iq1_s' | 'iq1_m' | 'iq2_xxs' | 'iq2_xs' | 'iq2_s' | 'iq3_xxs')
  | ('iq3_s' | 'iq4_nl' | 'iq4_xs' | 'tq1_0' | 'tq2_0' | 'mxfp4' | 'nvfp4' | 'q1_0');

/** Quantized types under GGUF's names. */
export type BlockType = Uppercase<Exclude<StorageType, 'f32' | 'f16' | 'bf16'> | ReadOnlyType>;

/** Element types of a weight's bytes in its file: safetensors' and GGUF's names. */
export type SourceType = 'F64' | 'F32' | 'F16' | 'BF16' | 'F8_E4M3' | 'F8_E5M2' | BlockType;

export type ModuleKind =
  | 'text_encoder'
  | 'bert_encoder'
  | 't5_encoder'
  | 'unet'
  | 'autoencoder_kl'
  | 'vq_model'
  | 'latent_transformer'
  | 'patch_discriminator'
  | 'lpips';

/** Plain data for C++: numbers, booleans, strings, and arrays and objects of them. */
export type ConfigValue =
  | null
  | boolean
  | number
  | string
  | readonly ConfigValue[]
  | { readonly [key: string]: ConfigValue };
export type NativeConfig = { readonly [key: string]: ConfigValue };

/** One parameter that a module of some config needs, as the graph builder asks for it. */
export interface WeightRequirement {
  /** Canonical (diffusers or transformers) name, such as `down_blocks.0.resnets.0.conv1.weight`. */
  readonly name: string;
  /** Shape in PyTorch's order. */
  readonly shape: readonly number[];
  /**
   * What the parameter is for; decides how it may be stored. `matrix` (linear layers and 1x1 convolutions) may take any storage,
   * `conv` (larger filters) f32, f16 or bf16, `embedding` f32, f16 or bf16, `vector` (norms, biases) always f32.
   */
  readonly role: 'matrix' | 'conv' | 'embedding' | 'vector';
}

/** Where a parameter comes from and how it is kept. */
export interface WeightPlanEntry {
  readonly name: string;
  /** Shape after the transform, PyTorch's order; must match the requirement up to ones (`[C, C, 1, 1]` is `[C, C]`). */
  readonly shape: readonly number[];
  readonly source: {
    /** Index into `WeightPlan.files`. */
    readonly file: number;
    /** Absolute byte offset in the file. */
    readonly offset: number;
    /** Bytes. */
    readonly length: number;
    readonly type: SourceType;
    readonly shape: readonly number[];
    /** In elements, where they do not lie one after another; `length` then reaches from the first to the last. */
    readonly strides?: readonly number[];
  };
  /**
   * `rows`: keep rows [start, end) of the first dimension (a fused in_proj), or of each of so many equal groups of them (heads that
   * were split before query, key and value); `transpose`: swap the two dimensions of a matrix. */
  readonly transform?:
    | { readonly op: 'rows'; readonly start: number; readonly end: number; readonly groups?: number }
    | { readonly op: 'transpose' };
  /** A `ReadOnlyType` only where the source has it, untransposed. */
  readonly storage: StorageType | ReadOnlyType;
}

export interface WeightPlan {
  /** Absolute paths. */
  readonly files: readonly string[];
  readonly entries: readonly WeightPlanEntry[];
}

/** The forms of a change to a parameter; native/runtime/patches computes each. */
export type PatchKind = 'low_rank' | 'full' | 'hadamard' | 'kronecker' | 'multiply' | 'rotate' | 'butterfly';

/** A change to one parameter of a module, whose factors a weight plan describes. */
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
  /** Columns [begin, end), the inputs that the change reads; default all. */
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

/** Weights to be converted into a file that exists. */
export interface WriteRequest {
  readonly path: string;
  readonly plan: WeightPlan;
  /** Where each entry's bytes begin in the output. */
  readonly offsets: readonly number[];
  /** 0 takes the number of physical cores. */
  readonly threads: number;
}

/** A tensor crossing the seam: contiguous, C order, PyTorch's shape. */
export interface NativeTensor {
  readonly data: Float32Array | Int32Array;
  readonly shape: readonly number[];
}

/**
 * A tensor that a run kept on its device, or some rows of one, whose memory they share. It outlives its module; its memory is freed
 * once nobody uses it.
 */
export interface NativeTensorHandle {
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly type: 'f32' | 'i32';
  /** ggml's name of the device. */
  readonly device: string;
  /** Rows [from, to) of the first dimension. */
  slice(from: number, to: number): NativeTensorHandle;
  read(): NativeTask<NativeTensor>;
  /** Safe twice and while a run uses the tensor. */
  dispose(): void;
}

/** Tensors that were kept are joined along the batch. */
export type NativeInput = NativeTensor | NativeTensorHandle | readonly NativeTensorHandle[];

export interface ModuleOptions {
  readonly backend: BackendName;
  /** ggml's name of the device; default the backend's first. */
  readonly device?: string;
  /** Keep weights in the host's memory, and copy them to a GPU as its products need them. */
  readonly hostWeights?: boolean;
  /** Threads of the CPU backend; 0 takes the number of physical cores. */
  readonly threads: number;
  /** Build graphs from stock ggml ops only, as on other backends (the oracle of our kernels). */
  readonly stockOps?: boolean;
  /**
   * Leave weights in their files, mapped, where the CPU can compute with the file's bytes: no private memory for them and no time
   * to load, but a file that is shortened meanwhile ends the process (SIGBUS).
   */
  readonly mapWeights?: boolean;
  /** Give a run's buffers back when it ends, rather than keep them for the next run of the same shapes. */
  readonly releaseBuffers?: boolean;
}

export interface RunOptions {
  /** Scalars that are part of the graph's shape rather than data, such as the number of layers to run. */
  readonly params?: NativeConfig;
  /** Names (from `nodes`) to read out of the run. */
  readonly taps?: readonly string[];
  /** Names of outputs that stay on the module's device instead of being copied to the host. */
  readonly keep?: readonly string[];
  /** Measure each named node (slower: runs node by node). */
  readonly timings?: boolean;
  /**
   * Whose state the run works on, for entries that keep tensors between runs (a KV cache, a prompt's keys and values). Any name; its
   * state begins zeroed, stays with the module until `release` or `dispose`, and is released by a run of it that fails or is
   * cancelled once computing has begun.
   */
  readonly session?: string;
  /** The patch set (see `setPatches`) to run with; without one, weights are as they were loaded. */
  readonly patches?: string;
}

export interface RunResult {
  /** All but those that are kept. */
  readonly outputs: Record<string, NativeTensor>;
  readonly taps: Record<string, NativeTensor>;
  readonly timings: {
    /** Milliseconds of building and allocating the graph, and of computing it. */
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

/** A call under way: `promise` settles once; `cancel` may be called at any time, also after that. */
export interface NativeTask<T> {
  readonly promise: Promise<T>;
  cancel(): void;
}

export interface MemoryInfo {
  /** Bytes of the weights. */
  readonly weights: number;
  /** Bytes of the compute buffers that the largest run so far needed. */
  readonly compute: number;
  /** Bytes that sessions keep between runs. */
  readonly sessions: number;
  /** Bytes of the factors of its patch sets. */
  readonly patches: number;
  /** Bytes of the outputs that its runs kept on the device and nobody has disposed of yet. */
  readonly kept: number;
  readonly backend: BackendName;
  /** ggml's name of the device, on a GPU. */
  readonly device?: string;
}

/** The class the addon exports; `lib/binding/module.ts` wraps it with AbortSignal and typed errors. */
export interface NativeModuleHandle {
  run(entry: string, inputs: Record<string, NativeInput>, options: RunOptions): NativeTask<NativeRunResult>;
  /** Everything that can be tapped, for inputs of these shapes. */
  nodes(entry: string, shapes: Record<string, readonly number[]>, params: NativeConfig): NodeInfo[];
  /** Bytes of the buffers that a run of f32 inputs of these shapes would need. */
  needed(
    entry: string,
    shapes: Record<string, readonly number[]>,
    params: NativeConfig,
    patches?: string,
  ): NativeTask<number>;
  memory(): MemoryInfo;
  /**
   * Registers a patch set under a name, in the place of one that has it, after the runs queued before; without patches the name is
   * forgotten and its memory freed. Rejects with ADAPTER_MISMATCH where the module has no such parameter or has it in another shape.
   */
  setPatches(id: string, plan: PatchPlan): NativeTask<void>;
  /** Frees what a session keeps, after the runs queued before; an unknown one is no error. */
  release(session: string): void;
  /** Safe twice and during a run (which rejects with DISPOSED); memory is given back once nothing runs. */
  dispose(): void;
}

/** Exports of the addon. Errors thrown or rejected carry a `code` of `ErrorCode`. */
export interface NativeAddon {
  version(): { safelight: string; ggml: string };
  /** Devices of the backends compiled in; none is opened. */
  backends(): Omit<BackendInfo, 'opens' | 'problem'>[];
  /** Devices that the backend's driver lists and ggml passes over. */
  skippedDevices(): { readonly description: string; readonly reason: string }[];
  /** Opens a device and closes it. Throws BACKEND_UNAVAILABLE; a driver may also end the process. */
  tryDevice(backend: BackendName, device: string): void;
  physicalCores(): number;
  /** The parameters that a module of this config needs. Throws UNSUPPORTED_MODEL or INVALID_OPTION for a config that makes no sense. */
  requirements(kind: ModuleKind, config: NativeConfig): WeightRequirement[];
  createModule(
    kind: ModuleKind,
    config: NativeConfig,
    plan: WeightPlan,
    options: ModuleOptions,
    onProgress?: (done: number, total: number) => void,
  ): NativeTask<NativeModuleHandle>;
  /** Converts weights into a file; rejects with FILE_NOT_WRITTEN where that fails. */
  writeWeights(request: WriteRequest, onProgress?: (done: number, total: number) => void): NativeTask<void>;
  /** flock(2) of an open file, exclusive and without waiting; closing the file lets go. `unsupported`: this file system has no such locks. */
  tryLock(descriptor: number): 'locked' | 'busy' | 'unsupported';
}
