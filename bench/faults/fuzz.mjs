// @ts-check
/**
 * Sends valid and invalid random requests generated from the server's OpenAPI document. No response may have a 5xx status, and
 * memory must not grow.
 */
import { rm } from 'node:fs/promises';
import { memoryOf } from './crowd.mjs';
import { scratch, server } from './processes.mjs';
import { bodyOf, pause, pick, randomBy } from './random.mjs';

/** @typedef {Record<string, any>} Schema */
/** @typedef {() => number} Random */

const WORDS = [
  '',
  'a',
  'ä\u0000𝔘',
  '../../etc/passwd',
  '<lora:x:1>',
  'x'.repeat(5000),
  '-1',
  'NaN',
  '__proto__',
  '%00',
  "' OR 1=1",
];
const NUMBERS = [0, -1, 1, 0.5, 8, 64, 1e9, -1e-9, 1e308, 2 ** 53, 2 ** 31, 100];
/** A PNG of one pixel, in base64. */
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const PICTURES = [
  PNG,
  PNG.slice(0, 60),
  `data:image/png;base64,${PNG}`,
  'data:,',
  'AAAA',
  '!!',
  `${PNG.slice(0, 20)}////${PNG.slice(24)}`,
];
/** Small values of valid options, so that accepted jobs end soon. */
const SMALL = {
  ...{ width: 64, height: 64, steps: 1, count: 1, batch: 1, hires: undefined, settings: undefined },
  ...{
    n: 1,
    size: '64x64',
    quality: 'low',
    batch_size: 1,
    n_iter: 1,
    enable_hr: false,
    hr_second_pass_steps: 1,
  },
};
/** Milliseconds after which a client disconnects, and the number of concurrent requests. */
const [PATIENCE, AT_ONCE] = [3000, 6];
/** Routes that are never called, because they do not end or end the session. */
const EXCLUDED = [/events$/, /^\/logout/, /^\/sdapi\/v1\/(server-|unload)/];

/**
 * @param {{ requests: number, seed: number, at?: string }} options `at`: URL of a running server; default: starts one
 */
export async function fuzz({ requests, seed, at }) {
  const folder = await scratch();
  const own =
    at === undefined
      ? await server(folder, ['--max-queued', '10', '--keep-jobs', '20', '--threads', '1'])
      : undefined;
  const url = at ?? own?.url ?? '';
  const random = randomBy(seed);
  const document = await bodyOf(await fetch(`${url}/openapi.json`));
  const routes = routesOf(document);
  /** @type {Record<string, number>} */
  const statuses = {};
  /** @type {string[]} */
  const bad = [];
  const memory = own && memoryOf;
  let before = 0;
  const warm = Math.min(1000, Math.floor(requests / 3));
  const one = async () => {
    const { init, path, method } = request(random, pick(random, routes), document);
    const answer = await asked(url + path, init);
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    if (Number(answer.status) >= 500 || answer.status === 'gone')
      bad.push(
        `${method} ${path} ${String(init.body ?? '').slice(0, 300)} -> ${answer.status} ${answer.text.slice(0, 200)}`,
      );
  };
  for (let i = 0; i < requests; i += AT_ONCE) {
    if (i >= warm && before === 0 && own) before = await settled(own.command);
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, requests - i) }, one));
  }
  const after = own && memory ? await settled(own.command) : 0;
  await own?.command.kill();
  await rm(folder, { recursive: true, force: true });
  const flat = after <= before * 1.2 + 60;
  return {
    ok: bad.length === 0 && flat,
    requests,
    routes: routes.length,
    statuses,
    bad: bad.slice(0, 20),
    megabytes: { before, after },
  };
}

/** @param {import('./processes.mjs').Command} command */
async function settled(command) {
  await pause(3000);
  return memoryOf(command);
}

/** @param {Schema} document */
function routesOf(document) {
  return Object.entries(document.paths)
    .flatMap(([path, methods]) =>
      Object.entries(/** @type {Schema} */ (methods)).map(([method, about]) => ({
        path,
        method: method.toUpperCase(),
        about,
      })),
    )
    .filter(({ path }) => !EXCLUDED.some((one) => one.test(path)));
}

/**
 * @param {Random} random
 * @param {{ path: string, method: string, about: Schema }} route
 * @param {Schema} document
 */
function request(random, { path, method, about }, document) {
  const where = path.replace(/\{(\w+)\}/g, () =>
    encodeURIComponent(
      pick(random, ['starter', '0'.repeat(30), 'x'.repeat(64), '..', '0.png', ...WORDS.slice(1, 5)]),
    ),
  );
  const query = (about.parameters ?? [])
    .filter((/** @type {Schema} */ one) => one.in === 'query' && random() < 0.6)
    .map(
      (/** @type {Schema} */ one) =>
        `${one.name}=${encodeURIComponent(String(randomValue(random, one.schema ?? {}, document)))}`,
    );
  const content = about.requestBody?.content ?? {};
  /** @type {RequestInit} */
  const init = { method, headers: {}, signal: AbortSignal.timeout(PATIENCE) };
  const schema = content['application/json']?.schema;
  if (schema || (method !== 'GET' && random() < 0.3)) {
    init.headers = {
      'content-type': pick(random, [
        'application/json',
        'application/json',
        'application/json',
        'application/json',
        'text/plain',
        'application/x-www-form-urlencoded',
      ]),
    };
    init.body = body(random, schema ?? {}, document);
  } else if (content['multipart/form-data'] || (method === 'POST' && random() < 0.1)) {
    init.body = form(random);
  }
  const end = query.length > 0 ? `?${query.join('&')}` : '';
  if (method === 'GET') delete init.body;
  return { init, path: where + end, method };
}

/** @param {Random} random @param {Schema} schema @param {Schema} document */
function body(random, schema, document) {
  const value = randomValue(random, schema, document);
  const small = typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : value;
  if (small && typeof small === 'object' && random() < 0.9)
    for (const [name, least] of Object.entries(SMALL))
      if (name in small) Object.assign(small, { [name]: least });
  const text = JSON.stringify(small) ?? '';
  const choice = random();
  if (choice < 0.03) return text.slice(0, text.length / 2);
  if (choice < 0.05) return `${'['.repeat(3000)}${text}`;
  if (choice < 0.06) return '';
  return text;
}

/** @param {Random} random */
function form(random) {
  const data = new FormData();
  const fields = ['image', 'mask', 'prompt', 'n', 'size', 'image[]', 'stream', 'x'];
  for (const name of fields) {
    if (random() < 0.4) continue;
    if (/image|mask/.test(name) && random() < 0.9) {
      const bytes = Buffer.from(pick(random, PICTURES).replace(/^data:[^,]*,/, ''), 'base64');
      data.append(name, new Blob([bytes]), 'x.png');
    } else {
      data.append(name, name === 'size' ? pick(random, ['64x64', 'auto', ...WORDS]) : pick(random, WORDS));
    }
  }
  return data;
}

/**
 * Returns a random value that matches a schema, and sometimes one that does not.
 * @param {Random} random @param {Schema} schema @param {Schema} document @param {number} [depth]
 * @returns {any}
 */
function randomValue(random, schema, document, depth = 0) {
  if (schema.$ref) return randomValue(random, resolved(document, schema.$ref), document, depth);
  if (random() < 0.04 || depth > 6)
    return pick(random, /** @type {any[]} */ ([...WORDS, ...NUMBERS, null, true, [], {}, [[]]]));
  const several = schema.oneOf ?? schema.anyOf;
  if (several) return randomValue(random, pick(random, several), document, depth);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return pick(random, schema.enum);
  switch (Array.isArray(schema.type) ? pick(random, schema.type) : schema.type) {
    case 'integer':
    case 'number':
      return number(random, schema);
    case 'boolean':
      return random() < 0.5;
    case 'string':
      return pick(random, [...WORDS, ...PICTURES]);
    case 'array':
      return Array.from({ length: Math.floor(random() * 4) }, () =>
        randomValue(random, schema.items ?? {}, document, depth + 1),
      );
    case 'null':
      return null;
    default:
      return object(random, schema, document, depth);
  }
}

/** @param {Random} random @param {Schema} schema */
function number(random, schema) {
  if (random() < 0.2) return pick(random, NUMBERS);
  const low = schema.minimum ?? 0;
  const high = Math.min(schema.maximum ?? 100, low + 1000);
  const value = low + random() * (high - low);
  return schema.type === 'integer' ? Math.round(value) : value;
}

/** @param {Random} random @param {Schema} schema @param {Schema} document @param {number} depth */
function object(random, schema, document, depth) {
  const required = new Set(schema.required ?? []);
  /** @type {Record<string, any>} */
  const value = {};
  for (const [name, field] of Object.entries(schema.properties ?? {}))
    if (random() < (required.has(name) ? 0.97 : 0.15))
      value[name] = randomValue(random, /** @type {Schema} */ (field), document, depth + 1);
  if (random() < 0.05) value[pick(random, WORDS)] = pick(random, NUMBERS);
  return value;
}

/** @param {Schema} document @param {string} reference */
function resolved(document, reference) {
  return reference
    .split('/')
    .slice(1)
    .reduce((at, name) => at?.[name] ?? {}, document);
}

/** @param {string} url @param {RequestInit} init */
async function asked(url, init) {
  try {
    const answer = await fetch(url, init);
    const text = await answer.text();
    return { status: answer.status, text };
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError') return { status: 'left', text: '' };
    return { status: 'gone', text: error instanceof Error ? `${error.message} ${error.cause}` : '' };
  }
}
