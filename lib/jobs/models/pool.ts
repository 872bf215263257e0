/**
 * Pool of models. A model is loaded when a job first needs it and evicted when idle or when another model
 * needs the memory, but never while a job uses it. Only configured names are accepted; a name is never used
 * as a path.
 */
import { SafelightError, throwIfAborted, unlessAborted } from '../../errors.js';
import { bytesOf, fileBytes } from './model-bytes.js';

/** The part of a pipeline that the pool uses. */
export interface PooledPipeline {
  memory(): Record<string, { readonly weights: number; readonly compute: number }>;
  dispose(): Promise<void>;
}

export interface ModelEntry<P extends PooledPipeline = PooledPipeline> {
  readonly name: string;
  /** Absolute path, or `owner/name` in the hub cache. */
  readonly path: string;
  /** Identifies the content of a file that is not configured; see `useFile`. */
  readonly version?: string | undefined;
  /** Loads the model. Never called concurrently for the same model. */
  load(signal: AbortSignal | undefined, onProgress?: (done: number, total: number) => void): Promise<P>;
  /** Estimates the memory that the loaded model takes, in bytes; default the size of its files. */
  estimate?(): Promise<number>;
}

export interface PoolOptions {
  /** Memory budget of all loaded models, in bytes; default unlimited. */
  readonly budget?: number | undefined;
  /** Seconds without a job after which a model is unloaded; default 900. 0 disables unloading. */
  readonly idle?: number | undefined;
}

/** A model in use: it stays loaded until it is released. */
export interface Lease<P> {
  readonly pipeline: P;
  release(): void;
}

interface Slot<P> {
  readonly entry: ModelEntry<P & PooledPipeline>;
  loading: Promise<void> | undefined;
  pipeline: P | undefined;
  users: number;
  lastUsed: number;
  timer: NodeJS.Timeout | undefined;
}

export class ModelPool<P extends PooledPipeline> {
  private readonly slots = new Map<string, Slot<P>>();
  /** Models of files that are not configured, by path and version; removed when they are unloaded. */
  private readonly files = new Map<string, Slot<P>>();
  private readonly waiting: (() => void)[] = [];
  private loadQueue: Promise<void> = Promise.resolve();
  private readonly idle: number;
  private readonly budget: number;

  constructor(entries: readonly ModelEntry<P>[], options: PoolOptions = {}) {
    this.idle = (options.idle ?? 900) * 1000;
    this.budget = options.budget ?? Number.POSITIVE_INFINITY;
    for (const entry of entries) this.add(entry);
  }

  /** Adds a model, or replaces one of the same name that is not in use. */
  add(entry: ModelEntry<P>): void {
    const before = this.slots.get(entry.name);
    if (before && (before.users > 0 || before.loading)) return;
    if (before) void this.unload(entry.name);
    this.slots.set(entry.name, newSlot(entry));
  }

  get names(): string[] {
    return [...this.slots.keys()];
  }

  /** @throws MODEL_NOT_FOUND with the configured names */
  entry(name: string): ModelEntry<P> {
    return this.slot(name).entry;
  }

  /** Loaded models with their memory in bytes and the number of jobs that use them. */
  get loaded(): { readonly name: string; readonly bytes: number; readonly users: number }[] {
    return this.all().flatMap(({ entry, pipeline, users }) =>
      pipeline ? [{ name: entry.name, bytes: bytesOf(pipeline), users }] : [],
    );
  }

  /**
   * Leases a model, loading it first if necessary.
   * @throws MODEL_NOT_FOUND, OUT_OF_MEMORY if the model alone exceeds the budget, and errors of loading
   */
  async use(
    name: string,
    signal?: AbortSignal,
    onProgress?: (done: number, total: number) => void,
  ): Promise<Lease<P>> {
    return this.lease(this.slot(name), signal, onProgress);
  }

  /**
   * Leases the model of a file that is not configured, such as an upscaler. It stays loaded like configured models, but
   * cannot be named; a file that has changed is loaded again.
   * @throws OUT_OF_MEMORY if the model alone exceeds the budget, and errors of loading
   */
  async useFile(
    entry: ModelEntry<P>,
    signal?: AbortSignal,
    onProgress?: (done: number, total: number) => void,
  ): Promise<Lease<P>> {
    const key = keyOf(entry);
    const slot = this.files.get(key) ?? newSlot(entry);
    this.files.set(key, slot);
    try {
      return await this.lease(slot, signal, onProgress);
    } finally {
      this.forget(slot);
    }
  }

  private async lease(
    slot: Slot<P>,
    signal: AbortSignal | undefined,
    onProgress: ((done: number, total: number) => void) | undefined,
  ): Promise<Lease<P>> {
    slot.users++;
    clearTimeout(slot.timer);
    try {
      while (!slot.pipeline) await this.load(slot, signal, onProgress);
    } catch (error) {
      this.leave(slot);
      throw error;
    }
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      this.leave(slot);
    };
    return { pipeline: slot.pipeline, release };
  }

  /** Unloads a model unless a job uses it. @returns true if the model was unloaded */
  async unload(name: string): Promise<boolean> {
    return this.unloadSlot(this.slot(name));
  }

  private async unloadSlot(slot: Slot<P>): Promise<boolean> {
    const { pipeline } = slot;
    if (!pipeline || slot.users > 0) return false;
    clearTimeout(slot.timer);
    slot.pipeline = undefined;
    this.forget(slot);
    await pipeline.dispose();
    return true;
  }

  /** Frees all models, including those in use. */
  async close(): Promise<void> {
    await Promise.all(
      this.all().map(async (slot) => {
        clearTimeout(slot.timer);
        await slot.loading?.catch(() => undefined);
        const { pipeline } = slot;
        slot.pipeline = undefined;
        await pipeline?.dispose();
      }),
    );
  }

  private all(): Slot<P>[] {
    return [...this.slots.values(), ...this.files.values()];
  }

  /** Removes the slot of a file that is neither loaded nor in use. */
  private forget(slot: Slot<P>): void {
    const key = keyOf(slot.entry);
    if (slot.pipeline || slot.users > 0 || this.files.get(key) !== slot) return;
    this.files.delete(key);
  }

  private slot(name: string): Slot<P> {
    const slot = this.slots.get(name);
    if (slot) return slot;
    throw new SafelightError(
      'MODEL_NOT_FOUND',
      `No model is named ${JSON.stringify(name.slice(0, 200))}; the models are: ${this.names.join(', ')}`,
    );
  }

  /** Settles when the model is loaded or a load by another job has ended; the caller then checks again. */
  private async load(
    slot: Slot<P>,
    signal: AbortSignal | undefined,
    onProgress: ((done: number, total: number) => void) | undefined,
  ): Promise<void> {
    if (slot.loading) {
      // Another job is loading the model. If that job is stopped, this one retries the load.
      await unlessAborted(
        slot.loading.catch(() => undefined),
        signal,
      );
      throwIfAborted(signal);
      return;
    }
    // Models are loaded one after the other, because the memory of a model is known only once it is loaded.
    const loading = this.loadQueue
      .then(async () => {
        throwIfAborted(signal);
        await this.makeRoom(slot, signal);
        slot.pipeline = await slot.entry.load(signal, onProgress);
      })
      .finally(() => {
        slot.loading = undefined;
      });
    slot.loading = loading;
    this.loadQueue = loading.catch(() => undefined);
    await unlessAborted(loading, signal);
  }

  /**
   * Evicts the least recently used models until this one fits, and waits for running jobs if that is not
   * enough.
   */
  private async makeRoom(slot: Slot<P>, signal: AbortSignal | undefined): Promise<void> {
    if (this.budget === Number.POSITIVE_INFINITY) return;
    const needed = (await slot.entry.estimate?.()) ?? (await fileBytes(slot.entry.path));
    if (needed > this.budget) {
      throw new SafelightError(
        'OUT_OF_MEMORY',
        `The model ${slot.entry.name} needs about ${needed} bytes, and the memory budget is ${this.budget} bytes; raise the budget or use a smaller storage type`,
      );
    }
    while (this.loaded.reduce((sum, { bytes }) => sum + bytes, 0) + needed > this.budget) {
      const others = this.all().filter((other) => other.pipeline);
      if (others.length === 0) return;
      const [oldest] = others.filter((other) => other.users === 0).sort((a, b) => a.lastUsed - b.lastUsed);
      if (oldest) await this.unloadSlot(oldest);
      else await unlessAborted(this.nextRelease(), signal);
    }
  }

  private nextRelease(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  private leave(slot: Slot<P>): void {
    slot.users--;
    slot.lastUsed = Date.now();
    for (const wake of this.waiting.splice(0)) wake();
    if (slot.users > 0 || this.idle === 0) return;
    slot.timer = setTimeout(() => void this.unloadSlot(slot).catch(() => undefined), this.idle);
    slot.timer.unref();
  }
}

function newSlot<P>(entry: ModelEntry<P & PooledPipeline>): Slot<P> {
  return { entry, loading: undefined, pipeline: undefined, users: 0, lastUsed: 0, timer: undefined };
}

function keyOf({ path, version = '' }: ModelEntry): string {
  return `${path} ${version}`;
}
