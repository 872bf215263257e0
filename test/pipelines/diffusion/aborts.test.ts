/**
 * One AbortSignal for many calls: errors have the platform's name, no leak warning is emitted, and no
 * listener remains.
 */
import { getEventListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aborted, onAbort, pauseFor, SafelightError, unlessAborted } from '../../../lib/errors.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { VqganPipeline } from '../../../lib/pipelines/vqgan/vqgan-pipeline.js';

let pipeline: Pipeline;
const warnings: Error[] = [];
const warned = (warning: Error) => warnings.push(warning);
beforeAll(async () => {
  process.on('warning', warned);
  pipeline = await Pipeline.load(undefined, { threads: 1 });
});
afterAll(async () => {
  process.off('warning', warned);
  await pipeline.dispose();
});

const APPLE = { prompt: 'a red apple', seed: 7, steps: 1, width: 64, height: 64 };
const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

/** Expects no warning; Node.js emits warnings in a later turn. */
async function expectQuiet(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(warnings).toEqual([]);
  expect(listeners(signal)).toBe(0);
}

describe('the error of an aborted call', () => {
  it('is an AbortError with the code ABORTED and the reason of the signal as its cause', async () => {
    const reason = new Error('enough');
    const error = await pipeline.generate({ ...APPLE, signal: AbortSignal.abort(reason) }).catch((e) => e);
    expect(error).toBeInstanceOf(SafelightError);
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORTED', cause: reason });
    const late = await pipeline
      .generate({ ...APPLE, steps: 500, signal: AbortSignal.timeout(40) })
      .catch((e) => e);
    expect(late).toMatchObject({ name: 'AbortError', code: 'ABORTED', cause: { name: 'TimeoutError' } });
  });

  it.each([
    ['loading', (signal: AbortSignal) => Pipeline.load(undefined, { signal })],
    ['loading a VQGAN model', (signal: AbortSignal) => VqganPipeline.load(undefined, { signal })],
    ['encoding text', (signal: AbortSignal) => pipeline.encodeText('pear', { signal })],
    ['unlessAborted', (signal: AbortSignal) => unlessAborted(new Promise(() => undefined), signal)],
    ['a pause', (signal: AbortSignal) => pauseFor(60_000, signal)],
  ])('has that name from %s', async (_what, call) => {
    await expect(call(AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError', code: 'ABORTED' });
    const controller = new AbortController();
    const running = call(controller.signal);
    controller.abort();
    await expect(running).rejects.toMatchObject({ name: 'AbortError', code: 'ABORTED' });
    expect(listeners(controller.signal)).toBe(0);
  });

  it('keeps the name SafelightError for every other code', () => {
    expect(new SafelightError('INTERNAL', 'a').name).toBe('SafelightError');
    expect(aborted().name).toBe('AbortError');
  });

  it('is thrown by a stream whose loop is left', async () => {
    const stream = pipeline.stream({ ...APPLE, steps: 3 });
    for await (const _ of stream) break;
    await expect(stream.result).rejects.toMatchObject({ name: 'AbortError', code: 'ABORTED' });
  });
});

describe('a signal shared by many calls', () => {
  it('has one listener while 50 calls run and none after them, without a warning', async () => {
    const { signal } = new AbortController();
    const calls = Array.from({ length: 50 }, (_, i) =>
      i % 5 === 0 ? pipeline.generate({ ...APPLE, signal }) : pipeline.encodeText(`word ${i}`, { signal }),
    );
    expect(listeners(signal)).toBeLessThanOrEqual(1);
    await Promise.all(calls);
    await expectQuiet(signal);
  });

  it('has no listener after 200 successive calls', async () => {
    const { signal } = new AbortController();
    for (let i = 0; i < 200; i++) await pipeline.encodeText(`one ${i % 40}`, { signal });
    await expectQuiet(signal);
  });

  it('has no listener after loading models and sampling code indices with it', async () => {
    const { signal } = new AbortController();
    const loaded = await Promise.all(
      Array.from({ length: 12 }, () => Pipeline.load(undefined, { parts: [], signal })),
    );
    await Promise.all(loaded.map((one) => one.dispose()));
    await using codes = await VqganPipeline.load(undefined, { signal, threads: 1 });
    const image = { data: new Uint8Array(64 * 64 * 3), width: 64, height: 64 };
    await Promise.all(Array.from({ length: 15 }, () => codes.codes(image, { signal })));
    await expectQuiet(signal);
  });

  it('aborts all of them', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const calls = Array.from({ length: 30 }, () => pipeline.generate({ ...APPLE, steps: 50, signal }));
    setTimeout(() => controller.abort('enough'), 30);
    for (const result of await Promise.allSettled(calls))
      expect(result).toMatchObject({ status: 'rejected', reason: { name: 'AbortError', cause: 'enough' } });
    await expectQuiet(signal);
  });

  it('calls every callback once, and none that stopped listening', () => {
    const controller = new AbortController();
    const called: string[] = [];
    const same = () => called.push('same');
    const stops = [onAbort(controller.signal, same), onAbort(controller.signal, same)];
    const unlisten = onAbort(controller.signal, () => called.push('gone'));
    unlisten();
    unlisten();
    onAbort(controller.signal, () => called.push('last'));
    controller.abort();
    expect(called).toEqual(['same', 'same', 'last']);
    for (const stop of stops) stop();
    onAbort(controller.signal, () => called.push('late'));
    expect(called.at(-1)).toBe('late');
    expect(listeners(controller.signal)).toBe(0);
  });
});
