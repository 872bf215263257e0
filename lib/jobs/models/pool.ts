/**
 * Models that jobs may name: loaded when a job needs them, evicted when idle or when another needs the memory, never under a running job.
 * Names are configured; a name is never used as a path.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SafelightError, throwIfAborted, unlessAborted } from '../../errors.js';

/** Interface of a loaded model. */
export interface PooledPipeline {
  memory(): Record<string, { readonly weights: number; readonly compute: number }>;
  dispose(): Promise<void>;
}

export interface ModelEntry<P extends PooledPipeline = PooledPipeline> {
  readonly name: string;
  /** Absolute, or `owner/name` of the hub's cache. */
  readonly path: string;
  /** Loads it; called once at a time. */
  load(signal: AbortSignal | undefined, onProgress?: (done: number, total: number) => void): Promise<P>;
  /** Estimates the bytes it will take. */
  estimate?(): Promise<number>;
}

export interface PoolOptions {
  /** Bytes that loaded models may take together; default no limit but the machine's. */
  readonly budget?: number | undefined;
  /** Seconds without a job after which a model is unloaded; default 900, 0 never. */
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
  used: number;
  timer: NodeJS.Timeout | undefined;
}

export class ModelPool<P extends PooledPipeline> {
  private readonly slots = new Map<string, Slot<P>>();
  private readonly waiting: (() => void)[] = [];
  private turn: Promise<void> = Promise.resolve();
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
    const idle = { loading: undefined, pipeline: undefined, users: 0, used: 0, timer: undefined };
    this.slots.set(entry.name, { entry, ...idle });
  }

  get names(): string[] {
    return [...this.slots.keys()];
  }

  /** @throws MODEL_NOT_FOUND with the names there are */
  entry(name: string): ModelEntry<P> {
    return this.slot(name).entry;
  }

  /** Names of loaded models, and the bytes they take. */
  get loaded(): { readonly name: string; readonly bytes: number; readonly users: number }[] {
    return [...this.slots.values()].flatMap(({ entry, pipeline, users }) =>
      pipeline ? [{ name: entry.name, bytes: bytesOf(pipeline), users }] : [],
    );
  }

  /**
   * Leases a model, after loading it if needed.
   * @throws MODEL_NOT_FOUND, OUT_OF_MEMORY where it cannot be within the budget, and what loading throws
   */
  async use(
    name: string,
    signal?: AbortSignal,
    onProgress?: (done: number, total: number) => void,
  ): Promise<Lease<P>> {
    const slot = this.slot(name);
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

  /** Unloads a model, unless a job uses it. @returns true where it was loaded and is not any more */
  async unload(name: string): Promise<boolean> {
    const slot = this.slot(name);
    const { pipeline } = slot;
    if (!pipeline || slot.users > 0) return false;
    clearTimeout(slot.timer);
    slot.pipeline = undefined;
    await pipeline.dispose();
    return true;
  }

  /** Frees all of them, those in use too. */
  async close(): Promise<void> {
    await Promise.all(
      [...this.slots.values()].map(async (slot) => {
        clearTimeout(slot.timer);
        await slot.loading?.catch(() => undefined);
        const { pipeline } = slot;
        slot.pipeline = undefined;
        await pipeline?.dispose();
      }),
    );
  }

  private slot(name: string): Slot<P> {
    const slot = this.slots.get(name);
    if (slot) return slot;
    throw new SafelightError(
      'MODEL_NOT_FOUND',
      `There is no model of the name ${JSON.stringify(name.slice(0, 200))}; there are: ${this.names.join(', ')}`,
    );
  }

  /** Settles once the model is loaded, or another load of it has ended: the caller looks again. */
  private async load(
    slot: Slot<P>,
    signal: AbortSignal | undefined,
    onProgress: ((done: number, total: number) => void) | undefined,
  ): Promise<void> {
    if (slot.loading) {
      // Another job's load: where that job is stopped, this one loads the model itself.
      await unlessAborted(
        slot.loading.catch(() => undefined),
        signal,
      );
      throwIfAborted(signal);
      return;
    }
    // One after the other: the memory of a model is known once it is loaded.
    const loading = this.turn
      .then(async () => {
        throwIfAborted(signal);
        await this.makeRoom(slot, signal);
        slot.pipeline = await slot.entry.load(signal, onProgress);
      })
      .finally(() => {
        slot.loading = undefined;
      });
    slot.loading = loading;
    this.turn = loading.catch(() => undefined);
    await unlessAborted(loading, signal);
  }

  /** Evicts the models unused longest until this one fits; where that is not enough, waits for jobs that use others. */
  private async makeRoom(wanted: Slot<P>, signal: AbortSignal | undefined): Promise<void> {
    if (this.budget === Number.POSITIVE_INFINITY) return;
    const needed = (await wanted.entry.estimate?.()) ?? (await fileBytes(wanted.entry.path));
    if (needed > this.budget) {
      throw new SafelightError(
        'OUT_OF_MEMORY',
        `The model ${wanted.entry.name} needs about ${needed} bytes, and the memory budget is ${this.budget}; raise the budget, or take a smaller storage`,
      );
    }
    while (this.loaded.reduce((sum, { bytes }) => sum + bytes, 0) + needed > this.budget) {
      const others = [...this.slots.values()].filter((slot) => slot.pipeline);
      if (others.length === 0) return;
      const [oldest] = others.filter((slot) => slot.users === 0).sort((a, b) => a.used - b.used);
      if (oldest) await this.unload(oldest.entry.name);
      else await unlessAborted(this.nextRelease(), signal);
    }
  }

  private nextRelease(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  private leave(slot: Slot<P>): void {
    slot.users--;
    slot.used = Date.now();
    for (const wake of this.waiting.splice(0)) wake();
    if (slot.users > 0 || this.idle === 0) return;
    slot.timer = setTimeout(() => void this.unload(slot.entry.name).catch(() => undefined), this.idle);
    slot.timer.unref();
  }
}

function bytesOf(pipeline: PooledPipeline): number {
  return Object.values(pipeline.memory()).reduce((sum, { weights, compute }) => sum + weights + compute, 0);
}

/** Sums the sizes of a file or of all files of a folder: about the memory a model takes. */
async function fileBytes(path: string): Promise<number> {
  try {
    const info = await stat(path);
    if (!info.isDirectory()) return info.size;
    const names = await readdir(path);
    const sizes = await Promise.all(names.map((name) => fileBytes(join(path, name))));
    return sizes.reduce((sum, size) => sum + size, 0);
  } catch {
    return 0; // loading will say what is wrong
  }
}
