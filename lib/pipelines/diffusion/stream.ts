/** Work under way: its steps one by one, and what comes out in the end. */
import { aborted } from '../../errors.js';
import type { GenerateResult, GenerationStep } from './generation.js';

/**
 * `for await (const step of stream)`, then `await stream.result`. The work goes on while the loop asks for steps; leaving the loop
 * early stops it, and `result` rejects with ABORTED. Without a loop, asking for `result` runs it to its end.
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
    // A failure also comes out of next(); nobody has to ask for the result as well.
    this.settled.catch(() => undefined);
  }

  /** The pictures, once all steps are done. */
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

  /** Stops; called by a loop that is left. */
  async return(): Promise<IteratorResult<Step, Result | undefined>> {
    this.begun = true;
    this.reject(aborted('The loop over the steps was left'));
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
      // The result has been rejected with it.
    }
  }
}

/** A diffusion under way, a step of the sampler each. */
export class GenerationStream extends StepStream<GenerationStep, GenerateResult> {}
