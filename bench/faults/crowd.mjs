// @ts-check
/** Many clients at once, clients that never read, and clients that never finish their request must not impair the server. */
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { scratch, server } from './processes.mjs';
import { bodyOf, pause } from './random.mjs';

const small = { type: 'text-to-image', prompt: 'a pear', width: 64, height: 64, steps: 2 };

/**
 * All clients submit at once and retry when the queue is full; each of them must get its image in the end.
 * @param {{ clients: number }} options
 */
export async function crowd({ clients }) {
  const folder = await scratch();
  const { command, url } = await server(folder, ['--max-queued', '20']);
  /** @type {Map<number, number>} */
  const statuses = new Map();
  let withoutAdvice = 0;
  const begun = performance.now();
  const client = async () => {
    for (;;) {
      const answer = await post(url, small);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      const body = await bodyOf(answer);
      if (answer.status === 201) return ended(url, body.id);
      if (answer.status !== 429) return String(answer.status);
      if (!(Number(answer.headers.get('retry-after')) > 0)) withoutAdvice++;
      await pause(200 + 800 * Math.random()); // impatient clients: shorter than Retry-After
    }
  };
  const ends = await Promise.all(Array.from({ length: clients }, client));
  const done = ends.filter((status) => status === 'done').length;
  await command.kill();
  await rm(folder, { recursive: true, force: true });
  const report = { done, statuses: Object.fromEntries(statuses), withoutAdvice };
  const seconds = (performance.now() - begun) / 1000;
  return { ok: done === clients && withoutAdvice === 0 && !wrong(statuses), ...report, seconds };
}

/**
 * Connects event clients that never read and clients that stop in the middle of a body. Other clients must be served
 * meanwhile, and memory must not grow.
 * @param {{ readers: number }} options
 */
export async function readers({ readers: count }) {
  const folder = await scratch();
  const { command, url } = await server(folder);
  const { hostname, port } = new URL(url);
  const before = await memoryOf(command);
  const alone = await timed(url);
  const { id } = await bodyOf(
    await post(url, { ...small, width: 256, height: 256, steps: 100, previews: { every: 1 } }),
  );
  const lines = Array.from({ length: count }, (_, i) => {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    if (i % 3 === 0) {
      socket.write(
        `POST /v1/jobs HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"type":`,
      );
    } else {
      const path = i % 3 === 1 ? `/v1/jobs/${id}/events` : '/v1/events';
      socket.write(`GET ${path} HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`);
    }
    socket.pause();
    return socket;
  });
  await ended(url, id);
  const beside = await timed(url);
  for (const line of lines) line.destroy();
  await pause(500);
  const after = await memoryOf(command);
  const alive = (await fetch(`${url}/health/live`)).status === 200;
  await command.kill();
  await rm(folder, { recursive: true, force: true });
  const report = { alone, beside, megabytes: { before, after } };
  return { ok: alive && beside < 5 * alone + 1 && after < before + 300, ...report };
}

/** Measures the seconds of a small job. @param {string} url */
async function timed(url) {
  const begun = performance.now();
  const { id } = await bodyOf(await post(url, small));
  await ended(url, id);
  return (performance.now() - begun) / 1000;
}

/** @param {string} url @param {unknown} body */
export function post(url, body) {
  return fetch(`${url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** @param {string} url @param {string} id @returns {Promise<string>} its final status */
export async function ended(url, id) {
  for (;;) {
    const job = await bodyOf(await fetch(`${url}/v1/jobs/${id}`));
    if (job.finished !== undefined) return job.status;
    await pause(50);
  }
}

/** Returns the resident memory in MB. @param {import('./processes.mjs').Command} command */
export async function memoryOf({ child }) {
  const status = readFileSync(`/proc/${child?.pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}

/** @param {Map<number, number>} statuses */
function wrong(statuses) {
  return [...statuses.keys()].some((status) => status >= 500);
}
