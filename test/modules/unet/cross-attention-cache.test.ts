import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openUNetFolder } from '../../../lib/checkpoint/folder.js';
import { CrossAttentionCache } from '../../../lib/families/shared/unet/cross-attention-cache.js';
import { UNet } from '../../../lib/modules/unet.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { relativeError } from '../../support/pipeline-cases.js';
import { noise, writeFolder } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-kept-texts-'));
let unet: UNet;
let stock: UNet;

beforeAll(async () => {
  const source = await openUNetFolder(join(writeFolder('sd1', join(root, 'sd1')), 'unet'));
  unet = await UNet.load(source, { storage: 'f32', threads: 1, backend: 'cpu' });
  stock = await UNet.load(source, { storage: 'f32', threads: 1, backend: 'cpu', stockOps: true });
});
afterAll(() => {
  for (const one of [unet, stock]) one.dispose();
  rmSync(root, { recursive: true, force: true });
});

const LENGTH = 9;
const text = (name: string, length = LENGTH) => Tensor.from(noise(name, length * 128), [1, length, 128]);
const both = (a: Tensor, b: Tensor) =>
  Tensor.from(Float32Array.of(...a.data, ...b.data), [2, ...a.shape.slice(1)]);

/** Sessions are freed after the queued runs. */
const freed = (memory = () => unet.memory()) => expect.poll(() => memory().sessions).toBe(0);

/** Noise `[rows, 4, 8, 8]` at fixed timesteps. */
function inputs(rows: number) {
  const sample = Tensor.from(noise('sample', rows * 256), [rows, 4, 8, 8]);
  return { sample, timestep: Tensor.from(new Float32Array(rows).fill(400), [rows]) };
}

describe('a session with cached keys and values', () => {
  test.each(['with our kernels', 'with stock operations'])(
    'predicts the same as with contexts given per call, %s',
    async (how) => {
      const model = how.includes('stock') ? stock : unet;
      const [a, b] = [text('a'), text('b')];
      using kept = await model.cacheCrossAttention(both(a, b));
      const expected = async (context: Tensor) =>
        (await model.forward({ ...inputs(context.shape[0]!), context })).sample.data;
      const given = async (...rows: number[]) =>
        (await model.forward({ ...inputs(rows.length), text: { of: kept, rows } })).sample.data;
      expect(relativeError(await given(0, 1), await expected(both(a, b)))).toBeLessThan(1e-6);
      expect(relativeError(await given(1, 0), await expected(both(b, a)))).toBeLessThan(1e-6);
      expect(relativeError(await given(1, 1), await expected(both(b, b)))).toBeLessThan(1e-6);
      // In turns.
      for (const [row, context] of [
        [0, a],
        [1, b],
        [0, a],
      ] as const)
        expect(relativeError(await given(row), await expected(context))).toBeLessThan(1e-6);
      expect(relativeError(await given(0), await expected(b))).toBeGreaterThan(1e-3);
    },
  );

  test('belongs to its U-Net and is freed on dispose', async () => {
    await freed();
    const [a, b] = [await unet.cacheCrossAttention(text('a')), await unet.cacheCrossAttention(text('b', 12))];
    expect(unet.memory().sessions).toBe(unet.bytesOfTexts(1, LENGTH) + unet.bytesOfTexts(1, 12));
    const run = async (of: typeof a) =>
      (await unet.forward({ ...inputs(1), text: { of, rows: [0] } })).sample.data;
    const first = await run(a);
    await run(b);
    expect(await run(a)).toEqual(first);
    a[Symbol.dispose]();
    a[Symbol.dispose]();
    await expect(run(a)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await run(b);
    b[Symbol.dispose]();
    await freed();
  });

  test('rejects invalid contexts and rows', async () => {
    using kept = await unet.cacheCrossAttention(text('a'));
    const outside = unet.forward({ ...inputs(1), text: { of: kept, rows: [1] } });
    await expect(outside).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    const rows = unet.forward({ ...inputs(2), text: { of: kept, rows: [0] } });
    await expect(rows).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    const narrow = unet.cacheCrossAttention(Tensor.zeros([1, 4, 64]));
    await expect(narrow).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
  });

  test('works with step caching', async () => {
    const [a] = [text('a')];
    using kept = await unet.cacheCrossAttention(a);
    const of = { of: kept, rows: [0] };
    for (const branch of [0, 4, 8]) {
      const whole = await unet.forward({ ...inputs(1), context: a }, { branch });
      const { deep } = await unet.forward({ ...inputs(1), text: of }, { branch });
      const shallow = await unet.shallow({ ...inputs(1), text: of }, deep!, branch);
      expect(relativeError(shallow.sample.data, whole.sample.data)).toBeLessThan(1e-6);
    }
  });
});

describe('CrossAttentionCache', () => {
  test('computes keys and values once while they are in use', async () => {
    const cache = new CrossAttentionCache(unet, false);
    await freed();
    const [a, b] = [text('a'), text('b')];
    const first = cache.use([a, b])!;
    const same = cache.use([a, b])!;
    const kept = await first.get(undefined);
    expect(await same.get(undefined)).toBe(kept);
    const other = cache.use([a, text('c')])!;
    expect(await other.get(undefined)).not.toBe(kept);
    expect(unet.memory().sessions).toBe(2 * unet.bytesOfTexts(2, LENGTH));
    first.release();
    first.release();
    await unet.forward({ ...inputs(1), text: { of: await same.get(undefined), rows: [0] } });
    same.release();
    await expect.poll(() => unet.memory().sessions).toBe(unet.bytesOfTexts(2, LENGTH));
    other.release();
    await freed();
  });

  test('leaves large contexts to each step, and those of large U-Nets in lean mode', async () => {
    const use = (lean: boolean, length: number) =>
      new CrossAttentionCache(unet, lean).use([Tensor.zeros([1, length, 128])]);
    expect(unet.bytesOfTexts(1, 80_000)).toBeGreaterThan(320e6);
    expect(use(false, 80_000)).toBeUndefined();
    expect(unet.bytesOfTexts(1, 8_000)).toBeGreaterThan(32e6);
    expect(use(true, 8_000)).toBeUndefined();
    const small = use(true, 800)!;
    expect(await small.get(undefined)).toMatchObject({ count: 1, length: 800 });
    small.release();
    await freed();
  });

  test('caches nothing after an abort, and computes the state for another user', async () => {
    const cache = new CrossAttentionCache(unet, false);
    const long = text('long', 4000);
    const [first, second] = [cache.use([long])!, cache.use([long])!];
    const stop = new AbortController();
    const aborted = first.get(stop.signal);
    const waiting = second.get(undefined);
    stop.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(first.get(stop.signal)).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await waiting).toMatchObject({ count: 1, length: 4000 });
    first.release();
    second.release();
    await freed();
  });
});

describe('a generation', () => {
  const options = { prompt: 'a red apple', seed: 1, width: 32, height: 32, steps: 2, count: 2, batch: 1 };
  let pipeline: Pipeline;
  const load = (memory: 'balanced' | 'lean') =>
    Pipeline.load(writeFolder('sd1', join(root, memory)), { storage: 'f32', memory });
  beforeAll(async () => {
    pipeline = await load('balanced');
  });
  afterAll(() => pipeline.dispose());
  const gone = () => freed(() => pipeline.memory().unet!);
  const latent = async (from: Pipeline, more: object) =>
    (await from.generate({ ...options, ...more })).images.at(-1)!.latent.data;

  test('caches keys and values while it runs and frees them at its end', async () => {
    const seen: number[] = [];
    for await (const _ of pipeline.stream(options)) seen.push(pipeline.memory().unet!.sessions);
    expect(new Set(seen)).toEqual(new Set([unet.bytesOfTexts(2, 77)]));
    await gone();
  });

  test('frees them when its stream is left, aborted or fails', async () => {
    for await (const _ of pipeline.stream({ ...options, steps: 4 })) break;
    await gone();
    const stop = new AbortController();
    const aborted = pipeline.generate({ ...options, signal: stop.signal, onProgress: () => stop.abort() });
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
    await gone();
    const late = new AbortController();
    const steps = pipeline.stream({ ...options, signal: late.signal });
    await steps.next();
    setImmediate(() => late.abort());
    await expect(steps.next().then(() => steps.next())).rejects.toMatchObject({ code: 'ABORTED' });
    await gone();
    const broken = pipeline.stream(options);
    const { value } = await broken.next();
    if (value && 'latent' in value) value.latent.data.fill(Number.NaN);
    await expect(broken.next()).rejects.toMatchObject({ code: 'NOT_FINITE' });
    await gone();
  });

  test('returns the same image alone and concurrently with others of the pipeline', async () => {
    const prompts = ['a red apple', 'a blue house', 'a dog (in the rain:1.3)'];
    const alone: Float32Array[] = [];
    for (const prompt of prompts) alone.push(await latent(pipeline, { prompt }));
    const together = await Promise.all(prompts.map((prompt) => latent(pipeline, { prompt })));
    expect(together).toEqual(alone);
    expect(alone[0]).not.toEqual(alone[1]);
    await gone();
  });

  test('returns the same with taps, whose runs do not use the cache', async () => {
    const tapped = await latent(pipeline, { taps: ['mid_block'], batch: 2 });
    expect(relativeError(await latent(pipeline, { batch: 2 }), tapped)).toBeLessThan(1e-5);
  });

  test('returns the same with sequential guidance: in an interval, without guidance, and with the negative prompt alone', async () => {
    await using lean = await load('lean');
    for (const more of [
      { guidanceInterval: [1, 5] },
      { cfg: 1 },
      { cfg: 0 },
      { negative: 'blurry', batch: 2 },
    ])
      expect(relativeError(await latent(lean, more), await latent(pipeline, more))).toBeLessThan(1e-5);
    expect(lean.memory().unet!.sessions).toBeLessThan(32e6);
    await freed(() => lean.memory().unet!);
  });
});
