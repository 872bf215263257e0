/** Streams of steps with a final result. */
import { aborted } from '../../errors.js';
import type { GenerateResult, GenerationStep } from './generation.js';

/**
 * An async iterator of steps with a result: `for await (const step of stream)`, then `await stream.result`. Work
 * proceeds while steps are requested; leaving the loop early stops it, and `result` rejects with ABORTED. Without a
 * loop, accessing `result` runs it to the end.
 */
export class StepStream<Step, Result> implements AsyncIterableIterator<Step, Result | undefined, undefined> {
  private resolve!: (result: Result) => void;
  private reject!: (error: unknown) => void;
  private readonly settled: Promise<Result>;
  private begun = false;

  constructor(private readonly steps: AsyncGenerator<Step, Result>) {
    this.settled = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Errors are also thrown by next(), so an unused result must not cause an unhandled rejection.
    this.settled.catch(() => undefined);
  }

  /** The result after all steps. */
  get result(): Promise<Result> {
    if (!this.begun) void this.drain();
    return this.settled;
  }

  async next(): Promise<IteratorResult<Step, Result>> {
    this.begun = true;
    try {
      const next = await this.steps.next();
      if (next.done && next.value) this.resolve(next.value);
      return next;
    } catch (error) {
      this.reject(error);
      throw error;
    }
  }

  /** Stops the work; called when a loop is left early. */
  async return(): Promise<IteratorResult<Step, Result | undefined>> {
    this.begun = true;
    this.reject(aborted('The loop over the steps was left early'));
    const steps: AsyncGenerator<Step, Result | undefined> = this.steps;
    return steps.return(undefined);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private async drain(): Promise<void> {
    try {
      while (!(await this.next()).done);
    } catch {
      // `next` has rejected the result.
    }
  }
}

/** A running generation, with one item per step of the sampler. */
export class GenerationStream extends StepStream<GenerationStep, GenerateResult> {}
