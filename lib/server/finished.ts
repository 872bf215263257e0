/** A job from a front door that answers once it has ended: a client that leaves takes its job with it. */
import type { FastifyReply } from 'fastify';
import { SafelightError } from '../errors.js';
import type { Job, JobEvent, JobQueue } from '../jobs/types.js';

/** A signal that is aborted when the client leaves; or when it has its answer, which nobody listens to any more. */
export function leaving(reply: FastifyReply): AbortSignal {
  const left = new AbortController();
  // Of the answer, not of its connection: that may stay for further requests.
  reply.raw.once('close', () => left.abort());
  return left.signal;
}

/**
 * What happens to a job, up to its end.
 * @throws what the job failed with, ABORTED where it was cancelled or the client left (which cancels it)
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

/** The same, for who only wants the end. */
export async function done(queue: JobQueue, id: string, signal: AbortSignal): Promise<Job> {
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
