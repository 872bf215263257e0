/** A model is loaded once, unloaded when it is idle or its memory is needed, and never while a job uses it. */
import { describe, expect, it } from 'vitest';
import { ModelPool } from '../../../lib/jobs/models/pool.js';

class Loaded {
  disposed = false;
  constructor(private readonly bytes: number) {}
  memory() {
    return { unet: { weights: this.bytes, compute: 0 } };
  }
  async dispose() {
    this.disposed = true;
  }
}

function pool(sizes: Record<string, number>, options: { budget?: number; idle?: number } = {}) {
  const loads: string[] = [];
  const entries = Object.entries(sizes).map(([name, bytes]) => ({
    ...{ name, path: `/${name}`, estimate: async () => bytes },
    load: async (signal: AbortSignal | undefined) => {
      loads.push(name);
      await new Promise((resolve) => setTimeout(resolve, 10));
      signal?.throwIfAborted();
      return new Loaded(bytes);
    },
  }));
  return { models: new ModelPool(entries, options), loads };
}

const names = ({ loaded }: ModelPool<Loaded>) => loaded.map(({ name }) => name);

describe('ModelPool', () => {
  it('loads a model once for concurrent requests', async () => {
    const { models, loads } = pool({ a: 1 });
    const [one, two] = await Promise.all([models.use('a'), models.use('a')]);
    expect(one.pipeline).toBe(two.pipeline);
    expect(loads).toEqual(['a']);
  });

  it('evicts the least recently used model for room, and never one in use', async () => {
    const { models } = pool({ a: 4, b: 4, c: 4 }, { budget: 8 });
    (await models.use('a')).release();
    const b = await models.use('b');
    (await models.use('c')).release();
    expect(names(models)).toEqual(['b', 'c']);
    (await models.use('a')).release();
    expect(names(models)).toEqual(['a', 'b']);
    expect(b.pipeline.disposed).toBe(false);
  });

  it('waits for room until a job has ended or the waiting request is aborted', async () => {
    const { models } = pool({ a: 4, b: 4 }, { budget: 4 });
    const a = await models.use('a');
    const stop = new AbortController();
    const stopped = models.use('b', stop.signal);
    stop.abort();
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
    const b = models.use('b');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(names(models)).toEqual(['a']);
    a.release();
    expect((await b).pipeline.disposed).toBe(false);
    expect([names(models), a.pipeline.disposed]).toEqual([['b'], true]);
  });

  it('keeps loading for a remaining request when the first is aborted', async () => {
    const { models, loads } = pool({ a: 1 });
    const stop = new AbortController();
    const first = models.use('a', stop.signal);
    const second = models.use('a');
    await new Promise((resolve) => setTimeout(resolve, 2));
    stop.abort();
    await expect(first).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await second).pipeline.disposed).toBe(false);
    expect(loads).toEqual(['a', 'a']);
  });

  it('rejects models that can never fit into the budget, and unknown models', async () => {
    const { models } = pool({ a: 9 }, { budget: 8 });
    await expect(models.use('a')).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    await expect(models.use('../a')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });

  it('unloads models that have been idle for the configured time', async () => {
    const { models } = pool({ a: 1 }, { idle: 0.02 });
    const { pipeline, release } = await models.use('a');
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(pipeline.disposed).toBe(false);
    release();
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect([pipeline.disposed, names(models)]).toEqual([true, []]);
  });
});
