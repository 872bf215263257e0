import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import type { SafelightError } from '../../lib/errors.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';

const load = () => Pipeline.load(undefined, { threads: 1 });
const APPLE: GenerateOptions = { prompt: 'a red apple', seed: 7, steps: 3, width: 64, height: 64 };
/** Fixed points in time between 0 and 1. */
const moments = Array.from({ length: 8 }, (_, i) => ((i * 0.618 + 0.1) % 1) ** 2);

/** Returns the error code with which a call ends, if any. */
async function codeOf(running: Promise<unknown>): Promise<string> {
  try {
    await running;
    return 'finished';
  } catch (error) {
    return (error as SafelightError).code;
  }
}

describe('a pipeline under stress', () => {
  let pipeline: Pipeline;
  let expected: Uint8Array;
  beforeAll(async () => {
    pipeline = await load();
    expected = (await pipeline.generate(APPLE)).images[0]!.data;
  });
  afterAll(() => pipeline.dispose());

  it('can be aborted at any time and works afterwards', async () => {
    const start = performance.now();
    await pipeline.generate(APPLE);
    const took = performance.now() - start;
    for (const moment of moments) {
      const signal = AbortSignal.timeout(Math.round(moment * took));
      expect(['ABORTED', 'finished']).toContain(await codeOf(pipeline.generate({ ...APPLE, signal })));
    }
    const reason = new Error('enough');
    const aborted = pipeline.generate({ ...APPLE, signal: AbortSignal.abort(reason) });
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
    expect((await pipeline.generate(APPLE)).images[0]!.data).toEqual(expected);
  });

  it('returns correct results for concurrent calls', async () => {
    const seeds = [7, 8, 7];
    const results = await Promise.all(seeds.map((seed) => pipeline.generate({ ...APPLE, seed })));
    const [a, b, c] = results.map(({ images }) => images[0]!.data);
    expect(a).toEqual(expected);
    expect(c).toEqual(expected);
    expect(b).not.toEqual(expected);
  });

  it('does not block the event loop', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 5);
    const { seconds } = await pipeline.generate({ ...APPLE, width: 128, height: 128 });
    clearInterval(timer);
    expect(turns).toBeGreaterThan((seconds * 1000) / 5 / 10);
  });

  it('accepts a prompt of a hundred thousand characters', async () => {
    const prompt = 'a red apple, '.repeat(100_000 / 13);
    const chunks = await pipeline.tokenize(prompt);
    expect(chunks.length).toBeGreaterThan(500);
    const signal = AbortSignal.timeout(300);
    await expect(pipeline.generate({ ...APPLE, prompt, signal })).rejects.toMatchObject({ code: 'ABORTED' });
    const long = { ...APPLE, prompt: 'a red apple, '.repeat(100), width: 16, height: 16, steps: 1 };
    expect((await pipeline.generate(long)).images).toHaveLength(1);
    const nested = `${'('.repeat(50_000)}apple`;
    await expect(pipeline.generate({ ...long, prompt: nested })).rejects.toMatchObject({
      code: 'NOT_FINITE',
    });
  });

  it('frees the memory of its calls', async () => {
    const used = () =>
      Object.values(pipeline.memory()).reduce((sum, { weights, compute }) => sum + weights + compute, 0);
    await pipeline.generate(APPLE);
    const before = used();
    for (let i = 0; i < 3; i++) await pipeline.generate(APPLE);
    expect(used()).toBe(before);
  });
});

describe('the lifecycle of a pipeline', () => {
  it('ends with dispose, even during calls', async () => {
    for (const moment of moments.slice(0, 4)) {
      const pipeline = await load();
      // Longer than the test waits.
      const running = codeOf(pipeline.generate({ ...APPLE, steps: 1000 }));
      await new Promise((resolve) => setTimeout(resolve, moment * 1000));
      await pipeline.dispose();
      await pipeline.dispose();
      expect(await running).toBe('DISPOSED');
      await expect(pipeline.generate(APPLE)).rejects.toMatchObject({ code: 'DISPOSED' });
      await expect(pipeline.encodeText('x')).rejects.toMatchObject({ code: 'DISPOSED' });
      expect(() => pipeline.stream(APPLE)).toThrowError(expect.objectContaining({ code: 'DISPOSED' }));
      expect(() => pipeline.memory()).toThrowError(expect.objectContaining({ code: 'DISPOSED' }));
    }
  });

  it('ends with its scope', async () => {
    let kept: Pipeline;
    {
      await using pipeline = await load();
      kept = pipeline;
      expect(kept.info.width).toBe(128);
    }
    expect(() => kept.info).toThrowError(expect.objectContaining({ code: 'DISPOSED' }));
  });

  it('may begin with some modules and load the others on demand', async () => {
    const seen: number[] = [];
    const onProgress = ({ step, steps }: { step: number; steps: number }) => void seen.push(step / steps);
    await using pipeline = await Pipeline.load(undefined, { parts: ['autoencoder'], threads: 1, onProgress });
    expect(seen[0]).toBe(0);
    expect(seen.at(-1)).toBe(1);
    expect(seen.every((share, i) => i === 0 || share >= seen[i - 1]!)).toBe(true);
    expect(Object.keys(pipeline.memory())).toEqual(['autoencoder']);
    await pipeline.encodeText('apple');
    expect(Object.keys(pipeline.memory())).toEqual(['text_encoder', 'autoencoder']);
  });

  it('can be aborted while it loads, and missing files are named', async () => {
    await expect(Pipeline.load(undefined, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    await expect(Pipeline.load('/no/such/model')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('reports weights that are NaN', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'safelight-nan-'));
    try {
      const vae = join(folder, 'vae');
      await cp(join(starterModel, 'vae'), vae, { recursive: true });
      const path = join(vae, 'diffusion_pytorch_model.safetensors');
      const file = await readFile(path);
      const length = Number(file.readBigUInt64LE(0));
      const header = JSON.parse(file.toString('utf8', 8, 8 + length));
      const [start, end] = header['decoder.conv_in.weight'].data_offsets;
      // All bits set is NaN in every floating-point format.
      file.fill(0xff, 8 + length + start, 8 + length + end);
      await writeFile(path, file);
      await using pipeline = await Pipeline.load(undefined, { vae, threads: 1 });
      await expect(pipeline.generate(APPLE)).rejects.toMatchObject({ code: 'NOT_FINITE' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
