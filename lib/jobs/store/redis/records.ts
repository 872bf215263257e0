/** Reads and atomic state transitions of jobs in Redis. */
import { SafelightError } from '../../../errors.js';
import type { Warning } from '../../../warnings.js';
import {
  type Job,
  type JobFilter,
  type JobImage,
  type JobProgress,
  type JobStatus,
  type NewEvent,
  queueOf,
} from '../../types.js';
import type { AddResult, AddTerms, Control, JobBase, JobSnapshot, KeyedJob, Outcome } from '../store.js';
import type { RedisClient, ScriptCommand } from './connect.js';
import type { Message } from './messages.js';
import { CONTROL, key, luaOf, type ScriptName, scripts } from './scripts.js';

/** An attempt at a job, and the BullMQ ticket it was claimed with. */
export interface Claim {
  readonly id: string;
  readonly attempt: string;
  readonly ticket: string;
}

/** Seconds that results are kept for a server to fetch them, and images of a request until its job is queued. */
const RESULT_WAIT = 30 * 86_400;
const INPUT_WAIT = 3600;

type Scripts = Readonly<Record<ScriptName, ScriptCommand>>;

export class Records {
  private readonly commands: Scripts;

  constructor(readonly redis: RedisClient) {
    const stepOf = (name: ScriptName): ScriptCommand => {
      redis.defineCommand(`sl_${name}`, { numberOfKeys: 0, lua: luaOf(name) });
      return (...values) => redis[`sl_${name}`]!(...values);
    };
    const names = Object.keys(scripts) as ScriptName[];
    this.commands = Object.fromEntries(names.map((name) => [name, stepOf(name)])) as Scripts;
  }

  async add(base: JobBase, { order, maxQueued, idempotent }: AddTerms): Promise<AddResult> {
    const { key: name = '', digest = '' } = idempotent ?? {};
    const text = JSON.stringify(base);
    const reply = await this.commands.submit(base.id, queueOf(base), text, order, maxQueued, name, digest);
    const [kind, first = '', second = ''] = reply as (string | number)[];
    if (kind === 'known') return { kind, id: String(first), digest: String(second) };
    return kind === 'added' ? { kind, place: Number(first) } : { kind: 'full' };
  }

  /** Returns the job submitted with an idempotency key, unless it was removed. */
  async keyed(name: string): Promise<KeyedJob | undefined> {
    const [id, digest] = await this.redis.hmget(key('key', name), 'id', 'digest');
    return id && digest && (await this.get(id)) ? { id, digest } : undefined;
  }

  async claim(model: string, ticket: string): Promise<Claim | undefined> {
    const reply = await this.commands.claim(model, ticket, new Date().toISOString());
    if (!Array.isArray(reply)) return undefined;
    const [id, attempt] = reply as [string, string];
    return { id, attempt, ticket };
  }

  /** @returns false if the attempt is no longer the newest */
  async finish(claim: Claim, status: 'done' | 'failed', outcome: Outcome): Promise<boolean> {
    const { id, attempt, ticket } = claim;
    const now = new Date();
    const text = JSON.stringify(outcome);
    return (
      (await this.commands.finish(id, attempt, ticket, status, text, now.toISOString(), now.getTime())) === 1
    );
  }

  async giveBack({ id, attempt, ticket }: Claim): Promise<void> {
    // Ahead of all queued jobs, because it has already waited.
    await this.commands.give(id, attempt, ticket, -Date.now());
  }

  async cancel(id: string): Promise<boolean> {
    const now = new Date();
    return (await this.commands.cancel(id, now.toISOString(), now.getTime())) === 1;
  }

  async move(id: string, order: number): Promise<void> {
    await this.commands.move(id, order);
  }

  async remove(id: string): Promise<boolean> {
    return (await this.commands.remove(id)) === 1;
  }

  /**
   * Publishes an event of a run and stores the snapshot that belongs to it.
   * @returns false if the attempt is no longer the newest
   */
  async report({ id, attempt, ticket }: Claim, event: NewEvent, snapshot?: JobSnapshot): Promise<boolean> {
    const message = JSON.stringify({ kind: 'event', id, event } satisfies Message);
    const [[field, value] = ['', undefined]] = Object.entries(
      event.type === 'progress' ? { progress: event.data } : (snapshot ?? {}),
    );
    const text = value === undefined ? '' : JSON.stringify(value);
    return (await this.commands.report(id, attempt, ticket, field, text, message)) === 1;
  }

  async control(message: Control): Promise<void> {
    await this.redis.publish(CONTROL, JSON.stringify(message));
  }

  /** Returns true while the attempt is the newest of a running job. */
  async isCurrent({ id, attempt, ticket }: Claim): Promise<boolean> {
    const [status, ...of] = await this.redis.hmget(key('job', id), 'status', 'attempts', 'ticket');
    return status === 'running' && of[0] === attempt && of[1] === ticket;
  }

  async exists(id: string): Promise<boolean> {
    const [status] = await this.redis.hmget(key('job', id), 'status');
    return typeof status === 'string';
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

  /** Returns jobs, newest first. */
  async list({ status, limit = 100, before }: JobFilter = {}): Promise<Job[]> {
    const matches: Job[] = [];
    let last = before;
    for (;;) {
      const max = last === undefined ? '+' : `(${last}`;
      const ids = await this.redis.zrevrangebylex(key('all'), max, '-', 'LIMIT', 0, Math.max(100, limit));
      for (const job of await Promise.all(ids.map((id) => this.get(id)))) {
        if (!job || (status && job.status !== status)) continue;
        if (matches.push(job) >= limit) return matches;
      }
      last = ids.at(-1);
      if (last === undefined) return matches;
    }
  }

  /** Returns the order of the first queued job of a model; undefined if none is queued. */
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

  async counts(): Promise<{ readonly queued: number; readonly running: number }> {
    const [queued, running] = await Promise.all([
      this.redis.zcard(key('queued')),
      this.redis.scard(key('running')),
    ]);
    return { queued, running };
  }

  /**
   * Returns the ids of ended jobs beyond the newest `count` and of those that ended before `time` (Unix
   * milliseconds).
   */
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
    throw new SafelightError('FILE_NOT_FOUND', `The image ${name} of the job no longer exists`);
  }

  /** @throws FILE_NOT_FOUND */
  async readResult(id: string, name: string): Promise<Uint8Array> {
    const data = await this.readFile(id, name);
    if (data) return data;
    throw new SafelightError('FILE_NOT_FOUND', `The result ${name} of the job no longer exists`);
  }

  /** @returns false if the attempt is no longer the newest */
  async writeFile({ id, attempt, ticket }: Claim, name: string, data: Uint8Array): Promise<boolean> {
    return (await this.commands.write(id, attempt, ticket, name, buffer(data), RESULT_WAIT)) === 1;
  }

  fileNames(id: string): Promise<string[]> {
    return this.redis.hkeys(key('files', id));
  }

  async readFile(id: string, name: string): Promise<Uint8Array | undefined> {
    return (await this.redis.hgetBuffer(key('files', id), name)) ?? undefined;
  }

  /** Returns the ids of ended jobs whose files no server has fetched yet. */
  uncollected(): Promise<string[]> {
    return this.redis.smembers(key('collect'));
  }

  async collected(id: string): Promise<void> {
    await this.redis.del(key('files', id));
    await this.redis.srem(key('collect'), id);
  }
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

/** Converts bytes to a `Buffer`, the only binary type that ioredis accepts. */
function buffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
