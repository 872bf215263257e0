import { SafelightError, unlessAborted } from '../../errors.js';

/** Something that is loaded once, when it is first asked for, and disposed of with its owner. */
export class Lazy<T> {
  private loading: Promise<T> | undefined;
  private loaded: T | undefined;
  private disposed = false;

  /**
   * @param load is given the signal of the caller that came first
   * @param release gives back what was loaded
   */
  constructor(
    private readonly name: string,
    private readonly load: (signal: AbortSignal | undefined) => Promise<T>,
    private readonly release: (value: T) => void,
  ) {}

  /** What is loaded by now. */
  get current(): T | undefined {
    return this.loaded;
  }

  /** @throws DISPOSED, and whatever loading throws; a failure is forgotten, so that it can be tried again */
  async get(signal?: AbortSignal): Promise<T> {
    for (;;) {
      if (this.disposed)
        throw new SafelightError('DISPOSED', `The ${this.name} was disposed and cannot be used any more`);
      this.loading ??= this.start(signal);
      try {
        return await unlessAborted(this.loading, signal);
      } catch (error) {
        // Somebody else's signal stopped the loading that this caller only waited for.
        const others =
          error instanceof SafelightError && error.code === 'ABORTED' && signal?.aborted !== true;
        if (!others) throw error;
      }
    }
  }

  /** Gives back what is loaded; the next call loads it again. */
  reset(): void {
    if (this.loaded !== undefined) this.release(this.loaded);
    this.loaded = undefined;
    this.loading = undefined;
  }

  dispose(): void {
    this.disposed = true;
    if (this.loaded !== undefined) this.release(this.loaded);
    this.loaded = undefined;
  }

  private async start(signal: AbortSignal | undefined): Promise<T> {
    try {
      const value = await this.load(signal);
      if (this.disposed) {
        this.release(value);
        throw new SafelightError('DISPOSED', `The ${this.name} was disposed while it was loaded`);
      }
      this.loaded = value;
      return value;
    } catch (error) {
      this.loading = undefined;
      throw error;
    }
  }
}
