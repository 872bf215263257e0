/** Messages between servers and workers, sent through Redis. */
import type { Job, JobStatus, NewEvent } from '../../types.js';
import type { RedisClient } from './connect.js';
import type { CONTROL, EVENTS } from './scripts.js';

/** Published to servers. */
export type Message =
  /** `status` is the status after the change; the job may have changed again since. */
  | { readonly kind: 'changed'; readonly id: string; readonly status?: JobStatus }
  | { readonly kind: 'removed'; readonly id: string }
  | { readonly kind: 'event'; readonly id: string; readonly event: NewEvent };

/**
 * Subscribes to a channel on a separate connection and calls `onMessage` with each message. Returns the
 * connection.
 */
export async function follow<T>(
  redis: RedisClient,
  channel: typeof EVENTS | typeof CONTROL,
  onMessage: (message: T) => void,
): Promise<RedisClient> {
  const subscriber = redis.duplicate();
  subscriber.on('error', () => undefined); // it reconnects automatically
  subscriber.on('message', (_, text) => onMessage(JSON.parse(text) as T));
  await subscriber.connect();
  await subscriber.subscribe(channel);
  return subscriber;
}

/**
 * Returns the job as it was when it changed to this status, if it has ended since; its end has a separate
 * message.
 */
export function asOf(job: Job, status: JobStatus | undefined): Job {
  if (job.finished === undefined || status === undefined || status === job.status) return job;
  const { finished: _, result: _result, error: _error, started, ...rest } = job;
  const start = status === 'running' && started !== undefined ? { started } : {};
  return { ...rest, ...start, status, images: [] };
}
