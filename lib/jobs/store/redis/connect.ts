/** Connects to Redis and loads the optional packages ioredis and BullMQ. */
import { SafelightError } from '../../../errors.js';

/** A Lua script that was defined as a command. */
export type ScriptCommand = (...values: (string | number | Uint8Array)[]) => Promise<unknown>;

/** The used part of an ioredis client, declared here so that the package builds without ioredis. */
export interface RedisClient {
  readonly [script: `sl_${string}`]: ScriptCommand;
  readonly status: string;
  connect(): Promise<void>;
  duplicate(): RedisClient;
  defineCommand(name: string, definition: { readonly numberOfKeys: number; readonly lua: string }): void;
  on(event: 'error' | 'ready' | 'end', listener: (error: Error) => void): this;
  on(event: 'message', listener: (channel: string, message: string) => void): this;
  disconnect(): void;
  hgetall(key: string): Promise<Record<string, string>>;
  hgetBuffer(key: string, field: string): Promise<Buffer | null>;
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>;
  hkeys(key: string): Promise<string[]>;
  hset(key: string, field: string, value: string | Uint8Array): Promise<number>;
  expire(key: string, seconds: number): Promise<number>;
  del(...keys: string[]): Promise<number>;
  publish(channel: string, message: string): Promise<number>;
  subscribe(...channels: string[]): Promise<unknown>;
  scard(key: string): Promise<number>;
  smembers(key: string): Promise<string[]>;
  srem(key: string, member: string): Promise<number>;
  zcard(key: string): Promise<number>;
  zrank(key: string, member: string): Promise<number | null>;
  zrange(key: string, start: number, stop: number, ...more: string[]): Promise<string[]>;
  zrevrangebylex(
    key: string,
    max: string,
    min: string,
    limit: 'LIMIT',
    offset: number,
    count: number,
  ): Promise<string[]>;
  zrangebyscore(key: string, min: number | string, max: number | string): Promise<string[]>;
}

export type BullMQ = typeof import('bullmq');

interface Driver {
  readonly Redis: new (url: string, options: Record<string, unknown>) => RedisClient;
}

/** Milliseconds to wait for Redis at startup. */
const PATIENCE = 5000;

/**
 * Connects to Redis. The client reconnects automatically when the connection is lost.
 * @param patient true if commands wait for a reconnect, as in workers; false if they fail immediately, as for
 *   requests
 * @throws INVALID_OPTION for an invalid address, QUEUE_UNAVAILABLE if Redis does not answer or a package is missing
 */
export async function connectRedis(url: string, patient: boolean): Promise<RedisClient> {
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected queue to be an address such as redis://HOST:6379, received ${JSON.stringify(hideSecret(url))}.`,
    );
  }
  const { Redis } = await importOptional<Driver>('ioredis');
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: PATIENCE,
    maxRetriesPerRequest: patient ? null : 1,
    retryStrategy: (times: number) => Math.min(100 * times, 2000),
  });
  let last: Error | undefined;
  client.on('error', (error) => {
    last = error;
  });
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(last ?? new Error('no answer')), PATIENCE).unref();
  });
  try {
    await Promise.race([client.connect(), late]);
    return client;
  } catch (error) {
    client.disconnect();
    const reason = (last ?? (error as Error)).message;
    throw new SafelightError(
      'QUEUE_UNAVAILABLE',
      `Cannot reach Redis at ${hideSecret(url)}: ${reason || 'no answer'}; start Redis, or correct --queue`,
      { cause: error },
    );
  }
}

/** Loads BullMQ. @throws QUEUE_UNAVAILABLE if it is not installed */
export function loadBullMQ(): Promise<BullMQ> {
  return importOptional<BullMQ>('bullmq');
}

/** Awaits a reply of Redis. @throws QUEUE_UNAVAILABLE if Redis does not answer */
export async function awaitReply<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof SafelightError) throw error;
    throw new SafelightError('QUEUE_UNAVAILABLE', 'Redis, which stores the jobs, does not answer', {
      cause: error,
    });
  }
}

/** Returns the address without user name and password. */
export function hideSecret(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//***@');
}

async function importOptional<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    throw new SafelightError(
      'QUEUE_UNAVAILABLE',
      `--queue redis://... requires the package ${name}, which is not installed; run npm install bullmq ioredis`,
      { cause: error },
    );
  }
}
