/** Jobs as they lie in Redis, with the steps that change them by their names. */
import { SafelightError } from '../../../errors.js';
import type { Warning } from '../../../warnings.js';
import type { RunOutcome } from '../../run/results.js';
import type { NewEvent } from '../../service/event-log.js';
import type { Job, JobError, JobFilter, JobImage, JobProgress, JobStatus } from '../../types.js';
import type { RedisClient } from './connect.js';
import { CONTROL, type EVENTS, key, luaOf, type ScriptName, scripts } from './scripts.js';

/** What never changes of a job. */
export type JobBase = Omit<
  Job,
  | 'status'
  | 'attempts'
  | 'started'
  | 'finished'
  | 'place'
  | 'progress'
  | 'images'
  | 'warnings'
  | 'result'
  | 'error'
>;

/** A job that a worker has taken: only the attempt that is the newest may change it. */
export interface Claim {
  readonly id: string;
  readonly attempt: string;
  readonly ticket: string;
}

export type Outcome = Partial<RunOutcome> & { readonly error?: JobError };

/** Everything of its kind so far, stored with an event so that it can be read later. */
export type Kept = { readonly images: readonly JobImage[] } | { readonly warnings: readonly Warning[] };

/** What is told of jobs. */
export type Message =
  | { readonly kind: 'changed'; readonly id: string }
  | { readonly kind: 'removed'; readonly id: string }
  | { readonly kind: 'event'; readonly id: string; readonly event: NewEvent };

/** What workers are told. */
export type Control =
  | { readonly kind: 'cancel' | 'finish' | 'skip'; readonly id: string }
  | { readonly kind: 'work' };

/** Seconds that pictures wait for a server, and pictures of a request for being queued. */
const FILES_WAIT = 30 * 86_400;
const INPUT_WAIT = 3600;

type Scripts = Record<ScriptName, (...values: (string | number | Uint8Array)[]) => Promise<unknown>>;

export class Records {
  private readonly steps: Scripts;

  constructor(readonly redis: RedisClient) {
    for (const name of Object.keys(scripts) as ScriptName[])
      redis.defineCommand(`sl_${name}`, { numberOfKeys: 0, lua: luaOf(name) });
    const commands = redis as unknown as Record<string, Scripts[ScriptName]>;
    const steps = Object.keys(scripts).map((name) => [
      name,
      (...values: Parameters<Scripts[ScriptName]>) => commands[`sl_${name}`]!.call(redis, ...values),
    ]);
    this.steps = Object.fromEntries(steps) as Scripts;
  }

  /** @returns what became of it; the id of the earlier job for a known idempotency key */
  async submit(
    base: JobBase,
    order: number,
    most: number,
    idempotent?: { readonly key: string; readonly digest: string },
  ): Promise<{ readonly kind: 'ok' | 'full' } | { readonly kind: 'known'; id: string; digest: string }> {
    const { key: name = '', digest = '' } = idempotent ?? {};
    const text = JSON.stringify(base);
    const told = await this.steps.submit(base.id, base.model, text, order, most, name, digest);
    const [kind, id = '', known = ''] = told as string[];
    return kind === 'known' ? { kind, id, digest: known } : { kind: kind === 'ok' ? 'ok' : 'full' };
  }

  /** The job by an idempotency key, if it is there still. */
  async idempotent(name: string): Promise<{ id: string; digest: string } | undefined> {
    const [id, digest] = await this.redis.hmget(key('key', name), 'id', 'digest');
    return id && digest && (await this.get(id)) ? { id, digest } : undefined;
  }

  async claim(model: string, ticket: string): Promise<Claim | undefined> {
    const told = await this.steps.claim(model, ticket, new Date().toISOString());
    if (!Array.isArray(told)) return undefined;
    const [id, attempt] = told as [string, string];
    return { id, attempt, ticket };
  }

  /** @returns whether the job was this attempt's still */
  async finish(claim: Claim, status: 'done' | 'failed', outcome: Outcome): Promise<boolean> {
    const { id, attempt, ticket } = claim;
    const now = new Date();
    const text = JSON.stringify(outcome);
    return (
      (await this.steps.finish(id, attempt, ticket, status, text, now.toISOString(), now.getTime())) === 1
    );
  }

  async giveBack({ id, attempt, ticket }: Claim): Promise<void> {
    // Before all that wait: it has waited already.
    await this.steps.give(id, attempt, ticket, -Date.now());
  }

  async cancel(id: string): Promise<boolean> {
    const now = new Date();
    return (await this.steps.cancel(id, now.toISOString(), now.getTime())) === 1;
  }

  async move(id: string, order: number): Promise<void> {
    await this.steps.move(id, order);
  }

  async forget(id: string): Promise<boolean> {
    return (await this.steps.forget(id)) === 1;
  }

  /** Tells who follows the job, and keeps what is there to be asked for later. @returns whether it is this attempt's still */
  async tell({ id, attempt }: Claim, event: NewEvent, kept?: Kept): Promise<boolean> {
    const message = JSON.stringify({ kind: 'event', id, event } satisfies Message);
    const [[field, value] = ['', undefined]] = Object.entries(
      event.type === 'progress' ? { progress: event.data } : (kept ?? {}),
    );
    const text = value === undefined ? '' : JSON.stringify(value);
    return (await this.steps.tell(id, attempt, field, text, message)) === 1;
  }

  async control(message: Control): Promise<void> {
    await this.redis.publish(CONTROL, JSON.stringify(message));
  }

  /** Whether the job is this attempt's still. */
  async isCurrent({ id, attempt }: Claim): Promise<boolean> {
    const [status, attempts] = await this.redis.hmget(key('job', id), 'status', 'attempts');
    return status === 'running' && attempts === attempt;
  }

  async get(id: string): Promise<Job | undefined> {
    const fields = await this.redis.hgetall(key('job', id));
    if (fields.base === undefined) return undefined;
    const job = read(fields);
    if (job.status !== 'queued') return job;
    const [place, running] = await Promise.all([
      this.redis.zrank(key('queued'), id),
      this.redis.scard(key('running')),
    ]);
    return place === null ? job : { ...job, place: place + running };
  }

  /** Newest first. */
  async list({ status, limit = 100, before }: JobFilter = {}): Promise<Job[]> {
    const found: Job[] = [];
    let last = before;
    for (;;) {
      const max = last === undefined ? '+' : `(${last}`;
      const ids = await this.redis.zrevrangebylex(key('all'), max, '-', 'LIMIT', 0, Math.max(100, limit));
      for (const job of await Promise.all(ids.map((id) => this.get(id)))) {
        if (!job || (status && job.status !== status)) continue;
        if (found.push(job) >= limit) return found;
      }
      last = ids.at(-1);
      if (last === undefined) return found;
    }
  }

  /** Ids of those that wait, the next first. */
  waiting(): Promise<string[]> {
    return this.redis.zrange(key('queued'), 0, -1);
  }

  /** When the first of a model's jobs came, or undefined where none waits. */
  async firstOf(model: string): Promise<number | undefined> {
    const [, order] = await this.redis.zrange(key('queued', model), 0, 0, 'WITHSCORES');
    return order === undefined ? undefined : Number(order);
  }

  async orders(): Promise<Map<string, number>> {
    const flat = await this.redis.zrange(key('queued'), 0, -1, 'WITHSCORES');
    const pairs: [string, number][] = [];
    for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i]!, Number(flat[i + 1])]);
    return new Map(pairs);
  }

  countRunning(): Promise<number> {
    return this.redis.scard(key('running'));
  }

  /** Ended jobs beyond `count` of them or ended before `time` (ms). */
  async expired(count: number, time: number): Promise<string[]> {
    const old = await this.redis.zrangebyscore(key('ended'), '-inf', `(${time}`);
    const many = await this.redis.zrange(key('ended'), 0, -1 - count);
    return [...new Set([...old, ...many])];
  }

  async writeInput(id: string, name: string, data: Uint8Array): Promise<void> {
    await this.redis.hset(key('input', id), name, buffer(data));
    await this.redis.expire(key('input', id), INPUT_WAIT);
  }

  async dropInputs(id: string): Promise<void> {
    await this.redis.del(key('input', id));
  }

  /** @throws FILE_NOT_FOUND */
  async readInput(id: string, name: string): Promise<Uint8Array> {
    const data = await this.redis.hgetBuffer(key('input', id), name);
    if (data) return data;
    throw new SafelightError('FILE_NOT_FOUND', `The picture ${name} of the job is not there any more`);
  }

  /** @returns whether the job is this attempt's still */
  async writeFile({ id, attempt }: Claim, name: string, data: Uint8Array): Promise<boolean> {
    return (await this.steps.write(id, attempt, name, buffer(data), FILES_WAIT)) === 1;
  }

  fileNames(id: string): Promise<string[]> {
    return this.redis.hkeys(key('files', id));
  }

  async readFile(id: string, name: string): Promise<Uint8Array | undefined> {
    return (await this.redis.hgetBuffer(key('files', id), name)) ?? undefined;
  }

  /** Ended jobs whose files no server has fetched. */
  uncollected(): Promise<string[]> {
    return this.redis.smembers(key('collect'));
  }

  async collected(id: string): Promise<void> {
    await this.redis.del(key('files', id));
    await this.redis.srem(key('collect'), id);
  }
}

/** Calls with what is told on a channel, on a connection of its own. */
export async function follow<T>(
  redis: RedisClient,
  channel: typeof EVENTS | typeof CONTROL,
  told: (message: T) => void,
): Promise<RedisClient> {
  const own = redis.duplicate();
  own.on('error', () => undefined); // it comes back by itself
  own.on('message', (_, text) => told(JSON.parse(text) as T));
  await own.connect();
  await own.subscribe(channel);
  return own;
}

function read(fields: Readonly<Record<string, string>>): Job {
  const { base = '{}', status = 'queued', attempts = '0', started, finished } = fields;
  const outcome = fields.outcome ? (JSON.parse(fields.outcome) as Outcome) : {};
  const images = fields.images ? (JSON.parse(fields.images) as JobImage[]) : [];
  const warnings = fields.warnings ? (JSON.parse(fields.warnings) as Warning[]) : [];
  const progress = fields.progress ? (JSON.parse(fields.progress) as JobProgress) : undefined;
  return {
    ...(JSON.parse(base) as JobBase),
    ...{ status: status as JobStatus, attempts: Number(attempts), images, warnings },
    ...(started === undefined ? {} : { started }),
    ...(finished === undefined ? {} : { finished }),
    ...(progress ? { progress } : {}),
    ...outcome,
  };
}

/** ioredis takes no other bytes. */
function buffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
