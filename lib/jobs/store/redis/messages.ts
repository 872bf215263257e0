/** Messages between servers and workers, over Redis. */
import type { Job, JobStatus, NewEvent } from '../../types.js';
import type { RedisClient } from './connect.js';
import type { CONTROL, EVENTS } from './scripts.js';

/** Published to servers. */
export type Message =
  /** `status` is that of the change; the job itself may have changed again. */
  | { readonly kind: 'changed'; readonly id: string; readonly status?: JobStatus }
  | { readonly kind: 'removed'; readonly id: string }
  | { readonly kind: 'event'; readonly id: string; readonly event: NewEvent };

/** Calls with each message of a channel, on a connection of its own. */
export async function follow<T>(
  redis: RedisClient,
  channel: typeof EVENTS | typeof CONTROL,
  onMessage: (message: T) => void,
): Promise<RedisClient> {
  const own = redis.duplicate();
  own.on('error', () => undefined); // it comes back by itself
  own.on('message', (_, text) => onMessage(JSON.parse(text) as T));
  await own.connect();
  await own.subscribe(channel);
  return own;
}

/** The job as it was when its status changed to this one, where it has ended since: its end has a message of its own. */
export function asOf(job: Job, status: JobStatus | undefined): Job {
  if (job.finished === undefined || status === undefined || status === job.status) return job;
  const { finished: _, result: _result, error: _error, started, ...rest } = job;
  const begun = status === 'running' && started !== undefined ? { started } : {};
  return { ...rest, ...begun, status, images: [] };
}
