/** Sends an async iterable as server-sent events, with backpressure, until the reader disconnects. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';

export interface SseEvent {
  readonly id?: number;
  readonly event?: string;
  readonly data: unknown;
}

/** Milliseconds of silence after which a comment keeps proxies from closing the connection. */
const HEARTBEAT = 15_000;

/**
 * Sends the events of the iterable that `open` returns. The signal passed to `open` is aborted when the reader
 * disconnects.
 */
export function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  open: (signal: AbortSignal) => AsyncIterable<SseEvent>,
): FastifyReply {
  const disconnected = new AbortController();
  request.raw.once('close', () => disconnected.abort());
  reply.raw.once('close', () => disconnected.abort());
  return reply
    .headers({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    .send(Readable.from(text(open(disconnected.signal)), { objectMode: false, highWaterMark: 1 }));
}

async function* text(events: AsyncIterable<SseEvent>): AsyncGenerator<string> {
  const iterator = events[Symbol.asyncIterator]();
  try {
    yield ': open\n\n';
    let next = iterator.next();
    for (;;) {
      const result = await orSilence(next);
      if (result === undefined) {
        yield ': still here\n\n';
        continue;
      }
      if (result.done) return;
      yield format(result.value);
      next = iterator.next();
    }
  } finally {
    // Not awaited: a generator that waits for its next event ends when its signal is aborted.
    void iterator.return?.(undefined);
  }
}

function format({ id, event, data }: SseEvent): string {
  const body = typeof data === 'string' ? data : JSON.stringify(data);
  return `${id === undefined ? '' : `id: ${id}\n`}${event === undefined ? '' : `event: ${event}\n`}data: ${body}\n\n`;
}

/** Returns the next result, or undefined after `HEARTBEAT` milliseconds of silence. */
async function orSilence<T>(next: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), HEARTBEAT);
  });
  try {
    return await Promise.race([next, silence]);
  } finally {
    clearTimeout(timer);
  }
}
