import { SafelightError, unlessAborted } from '../../errors.js';

/** A value that is loaded once on first use and released with its owner. */
export class Lazy<T> {
  private loading: Promise<T> | undefined;
  private loaded: T | undefined;
  private disposed = false;

  /**
   * @param name for messages
   * @param load receives the signal of the first caller
   * @param release frees the loaded value
   */
  constructor(
    private readonly name: string,
    private readonly load: (signal: AbortSignal | undefined) => Promise<T>,
    private readonly release: (value: T) => void,
  ) {}

  /** The value, if it is loaded. */
  get current(): T | undefined {
    return this.loaded;
  }

  /**
   * Returns the value, loading it if necessary.
   * @throws DISPOSED and errors of loading, after which it can be retried
   */
  async get(signal?: AbortSignal): Promise<T> {
    for (;;) {
      if (this.disposed)
        throw new SafelightError('DISPOSED', `The ${this.name} was disposed and can no longer be used`);
      this.loading ??= this.start(signal);
      try {
        return await unlessAborted(this.loading, signal);
      } catch (error) {
        // If another caller's signal aborted the shared loading, this caller retries.
        const abortedByOther =
          error instanceof SafelightError && error.code === 'ABORTED' && signal?.aborted !== true;
        if (!abortedByOther) throw error;
      }
    }
  }

  /** Releases the value; the next `get` loads it again. */
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
        throw new SafelightError('DISPOSED', `The ${this.name} was disposed during loading`);
      }
      this.loaded = value;
      return value;
    } catch (error) {
      this.loading = undefined;
      throw error;
    }
  }
}
