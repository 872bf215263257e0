/** Waits for jobs of APIs that respond when the job has ended. If the client disconnects, its job is cancelled. */
import type { FastifyReply } from 'fastify';
import { SafelightError } from '../errors.js';
import type { Job, JobEvent, JobQueue } from '../jobs/types.js';

/** Returns a signal that is aborted when the client disconnects or has received the whole response. */
export function disconnectSignal(reply: FastifyReply): AbortSignal {
  const disconnected = new AbortController();
  // Listens to the response rather than the connection, which may be reused for further requests.
  reply.raw.once('close', () => disconnected.abort());
  return disconnected.signal;
}

/**
 * Yields the events of a job until its end and returns the finished job.
 * @throws the error of a failed job, ABORTED if the job was cancelled or the client disconnected (which cancels it)
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
