/** A worker of a test's Redis that can stop as a killed process does. */
import { JobRunner, type RunnerParts } from '../../lib/jobs/service/runner.js';
import { RedisTurns, type RedisTurnsParts } from '../../lib/jobs/store/redis/turns.js';

export interface TestWorker {
  close(options: { readonly drain: boolean }): Promise<void>;
  /** Stops without a message to Redis: its lock expires, and its later reports are ignored. */
  freeze(): void;
}

export async function startWorker(
  parts: RedisTurnsParts,
  rest: Pick<RunnerParts, 'run' | 'concurrency'>,
): Promise<TestWorker> {
  const turns = await RedisTurns.open(parts);
  const runner = new JobRunner({ turns, ...rest });
  await runner.start();
  let isFrozen = false;
  return {
    freeze: () => {
      isFrozen = true;
      turns.disconnect();
      void runner.close({ drain: true }); // accepts no more jobs
    },
    close: async (options) => {
      if (!isFrozen) await runner.close(options);
    },
  };
}
