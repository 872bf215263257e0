/** Waits for jobs of callers that need the result. If the caller gives up, its job is cancelled. */
import { SafelightError } from '../errors.js';
import type { Job, JobEvent, JobQueue } from './types.js';

/**
 * Yields the events of a job until its end and returns the finished job.
 * @throws the error of a failed job, ABORTED if the job was cancelled or the signal was aborted (which cancels it)
 */
export async function* untilDone(
  queue: JobQueue,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<JobEvent, Job> {
  let ended = false;
  try {
    for await (const event of queue.events(id, { signal })) {
      if (event.type === 'done') {
        ended = true;
        return event.data;
      }
      if (event.type === 'failed') {
        ended = true;
        throw failureOf(event.data);
      }
      if (event.type === 'cancelled') break;
      yield event;
    }
    throw new SafelightError('ABORTED', 'The job was cancelled');
  } finally {
    if (!ended) await queue.cancel(id);
  }
}

/** Waits for the end of a job, like `untilDone` without the events. */
export async function waitUntilDone(queue: JobQueue, id: string, signal: AbortSignal): Promise<Job> {
  const events = untilDone(queue, id, signal);
  for (;;) {
    const next = await events.next();
    if (next.done) return next.value;
  }
}

function failureOf({ error }: Job): SafelightError {
  const code = (error?.code ?? 'INTERNAL') as SafelightError['code'];
  return new SafelightError(code, error?.message ?? 'The job failed');
}
