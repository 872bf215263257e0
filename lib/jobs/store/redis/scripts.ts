/**
 * Atomic state transitions of jobs, as Lua scripts that Redis runs.
 *
 * The hash `job:ID` contains a job: `base` (the immutable part), `status`, `attempts`, `started`, `finished`,
 * `progress`, `images`, `warnings`, `ticket` (the BullMQ ticket of the newest attempt) and, once it has ended,
 * `outcome`. `queued` contains the ids of queued jobs sorted by order, `queued:MODEL` those of one model, `running`
 * the ids of running jobs, `ended` those of ended jobs sorted by end time, and `all` all ids. `input:ID` contains
 * the images of a request, `files:ID` the results until a server has fetched them, and `collect` the ids of ended
 * jobs with such files. `tickets` maps each BullMQ ticket to the job it was claimed for.
 */

const PREFIX = 'safelight:';
export const key = (...parts: string[]): string => PREFIX + parts.join(':');

/** Channels: servers subscribe to changes and events of jobs, workers to control messages. */
export const EVENTS = key('events');
export const CONTROL = key('control');

/** Lua functions prepended to every script. */
const HEAD = `
local p = '${PREFIX}'
local function changed(id)
  local status = redis.call('HGET', p .. 'job:' .. id, 'status')
  redis.call('PUBLISH', '${EVENTS}', cjson.encode({ kind = 'changed', id = id, status = status }))
end
local function leaveQueue(id)
  redis.call('ZREM', p .. 'queued', id)
  redis.call('ZREM', p .. 'queued:' .. redis.call('HGET', p .. 'job:' .. id, 'model'), id)
end
local function current(id, attempt, ticket)
  local state = redis.call('HMGET', p .. 'job:' .. id, 'status', 'attempts', 'ticket')
  return state[1] == 'running' and state[2] == attempt and state[3] == ticket
end
local function ended(id, status, outcome, finished, ms)
  local job = p .. 'job:' .. id
  redis.call('HSET', job, 'status', status, 'outcome', outcome, 'finished', finished)
  redis.call('HDEL', job, 'progress', 'images')
  if redis.call('EXISTS', p .. 'files:' .. id) == 1 then redis.call('SADD', p .. 'collect', id) end
  redis.call('ZADD', p .. 'ended', ms, id)
  redis.call('DEL', p .. 'input:' .. id)
  changed(id)
end
`;

export const scripts = {
  /**
   * (id, model, base, order, maximum of queued jobs, idempotency key or '', digest) -> {'added', place}, {'full'}
   * or {'known', id, digest}
   */
  submit: `
local id, model, base, order, limit, name, digest = unpack(ARGV)
if name ~= '' then
  local known = redis.call('HMGET', p .. 'key:' .. name, 'id', 'digest')
  if known[1] and redis.call('EXISTS', p .. 'job:' .. known[1]) == 1 then return { 'known', known[1], known[2] } end
end
if redis.call('ZCARD', p .. 'queued') >= tonumber(limit) then return { 'full' } end
redis.call('HSET', p .. 'job:' .. id, 'base', base, 'model', model, 'status', 'queued', 'attempts', 0, 'key', name)
redis.call('ZADD', p .. 'all', 0, id)
redis.call('ZADD', p .. 'queued', order, id)
redis.call('ZADD', p .. 'queued:' .. model, order, id)
redis.call('PERSIST', p .. 'input:' .. id)
if name ~= '' then redis.call('HSET', p .. 'key:' .. name, 'id', id, 'digest', digest) end
changed(id)
return { 'added', redis.call('ZRANK', p .. 'queued', id) + redis.call('SCARD', p .. 'running') }`,
  /**
   * (model, ticket, started) -> {id, attempt} of the job that this ticket was claimed for before or of the next
   * one, or nil if none is queued
   */
  claim: `
local model, ticket, started = unpack(ARGV)
local id = redis.call('HGET', p .. 'tickets', ticket)
if id then
  local status = redis.call('HGET', p .. 'job:' .. id, 'status')
  if status ~= 'queued' and status ~= 'running' then id = nil end
end
if not id then
  id = redis.call('ZRANGE', p .. 'queued:' .. model, 0, 0)[1]
  if not id then
    redis.call('HDEL', p .. 'tickets', ticket)
    return nil
  end
  redis.call('HSET', p .. 'tickets', ticket, id)
end
leaveQueue(id)
redis.call('SADD', p .. 'running', id)
local attempt = redis.call('HINCRBY', p .. 'job:' .. id, 'attempts', 1)
redis.call('HSET', p .. 'job:' .. id, 'status', 'running', 'started', started, 'ticket', ticket)
redis.call('HDEL', p .. 'job:' .. id, 'progress', 'images', 'warnings')
changed(id)
return { id, tostring(attempt) }`,
  /** (id, attempt, ticket, status, outcome, finished, ms) -> 1, or 0 if the attempt is not the newest */
  finish: `
local id, attempt, ticket, status, outcome, finished, ms = unpack(ARGV)
redis.call('HDEL', p .. 'tickets', ticket)
if not current(id, attempt, ticket) then return 0 end
redis.call('SREM', p .. 'running', id)
ended(id, status, outcome, finished, ms)
return 1`,
  /**
   * (id, attempt, ticket, order) -> 1, or 0 if the attempt is not the newest. Queues the job again and discards the
   * attempt.
   */
  give: `
local id, attempt, ticket, order = unpack(ARGV)
redis.call('HDEL', p .. 'tickets', ticket)
if not current(id, attempt, ticket) then return 0 end
local job = p .. 'job:' .. id
redis.call('SREM', p .. 'running', id)
redis.call('HSET', job, 'status', 'queued')
redis.call('HINCRBY', job, 'attempts', -1)
redis.call('HDEL', job, 'started', 'progress', 'images', 'warnings')
redis.call('ZADD', p .. 'queued', order, id)
redis.call('ZADD', p .. 'queued:' .. redis.call('HGET', job, 'model'), order, id)
changed(id)
return 1`,
  /** (id, finished, ms) -> 1, or 0 if the job has already ended */
  cancel: `
local id, finished, ms = unpack(ARGV)
local status = redis.call('HGET', p .. 'job:' .. id, 'status')
if status == 'queued' then
  leaveQueue(id)
elseif status == 'running' then
  redis.call('SREM', p .. 'running', id)
  redis.call('PUBLISH', '${CONTROL}', cjson.encode({ kind = 'cancel', id = id }))
else
  return 0
end
local images = redis.call('HGET', p .. 'job:' .. id, 'images')
ended(id, 'cancelled', images and '{"images":' .. images .. '}' or '', finished, ms)
return 1`,
  /** (id, order) */
  move: `
local id, order = unpack(ARGV)
if redis.call('HGET', p .. 'job:' .. id, 'status') ~= 'queued' then return end
redis.call('ZADD', p .. 'queued', 'XX', order, id)
redis.call('ZADD', p .. 'queued:' .. redis.call('HGET', p .. 'job:' .. id, 'model'), 'XX', order, id)
changed(id)`,
  /**
   * (id, attempt, ticket, field, value, event as JSON) -> 1, or 0 if the attempt is not the newest. Publishes an
   * event of a run and stores the field, if any.
   */
  report: `
local id, attempt, ticket, field, value, event = unpack(ARGV)
if not current(id, attempt, ticket) then return 0 end
if field ~= '' then redis.call('HSET', p .. 'job:' .. id, field, value) end
redis.call('PUBLISH', '${EVENTS}', event)
return 1`,
  /** (id, attempt, ticket, name, bytes, seconds) -> 1, or 0 if the attempt is not the newest */
  write: `
local id, attempt, ticket, name, bytes, seconds = unpack(ARGV)
if not current(id, attempt, ticket) then return 0 end
redis.call('HSET', p .. 'files:' .. id, name, bytes)
redis.call('EXPIRE', p .. 'files:' .. id, seconds)
return 1`,
  /** (id) -> 1, or 0 if the job has not ended */
  remove: `
local id = ARGV[1]
local state = redis.call('HMGET', p .. 'job:' .. id, 'finished', 'key')
if not state[1] then return 0 end
redis.call('DEL', p .. 'job:' .. id, p .. 'files:' .. id, p .. 'input:' .. id)
redis.call('ZREM', p .. 'all', id)
redis.call('ZREM', p .. 'ended', id)
redis.call('SREM', p .. 'collect', id)
if state[2] ~= '' then redis.call('DEL', p .. 'key:' .. state[2]) end
redis.call('PUBLISH', '${EVENTS}', cjson.encode({ kind = 'removed', id = id }))
return 1`,
} as const;

export type ScriptName = keyof typeof scripts;

export function luaOf(name: ScriptName): string {
  return HEAD + scripts[name];
}
