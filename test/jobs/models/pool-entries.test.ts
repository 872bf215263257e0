import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelPool } from '../../../lib/jobs/models/pool.js';

class Loaded {
  disposed = false;
  memory() {
    return { unet: { weights: 4, compute: 1 } };
  }
  async dispose() {
    this.disposed = true;
  }
}

const entry = (name: string, path = `/${name}`) => ({ name, path, load: async () => new Loaded() });

describe('the entries of a model pool', () => {
  it('are replaced by an entry of the same name, which unloads the model', async () => {
    const pool = new ModelPool([entry('a')]);
    const lease = await pool.use('a');
    lease.release();
    pool.add(entry('a', '/other'));
    expect(pool.entry('a').path).toBe('/other');
    expect(lease.pipeline.disposed).toBe(true);
    expect(pool.loaded).toEqual([]);
  });

  it('are not replaced while a job uses or loads the model', async () => {
    const pool = new ModelPool([entry('a')]);
    const loading = pool.use('a');
    pool.add(entry('a', '/other'));
    const lease = await loading;
    pool.add(entry('a', '/other'));
    expect(pool.entry('a').path).toBe('/a');
    expect(lease.pipeline.disposed).toBe(false);
  });

  it('are listed in the error for an unknown name', () => {
    const pool = new ModelPool([entry('a'), entry('b')]);
    expect(() => pool.entry('c')).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
    expect(() => pool.entry('c')).toThrow(/"c".*a, b/);
  });
});

describe('a leased model', () => {
  it('counts one user per lease, even if a lease is released twice', async () => {
    const pool = new ModelPool([entry('a')]);
    const [first] = [await pool.use('a'), await pool.use('a')];
    first.release();
    first.release();
    expect(pool.loaded).toEqual([{ name: 'a', bytes: 5, users: 1 }]);
    expect(await pool.unload('a')).toBe(false);
  });

  it('is unloaded on request once, when no job uses it', async () => {
    const pool = new ModelPool([entry('a')]);
    (await pool.use('a')).release();
    expect(await pool.unload('a')).toBe(true);
    expect(await pool.unload('a')).toBe(false);
  });

  it('is not loaded again for a second job that is cancelled while the first one loads it', async () => {
    const pool = new ModelPool([entry('a')]);
    const stop = new AbortController();
    const [first, second] = [pool.use('a'), pool.use('a', stop.signal)];
    stop.abort();
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    (await first).release();
    expect(pool.loaded).toMatchObject([{ users: 0 }]);
  });
});

describe('the memory estimate of a model', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'safelight-pool-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it.each([
    { kind: 'file', path: () => join(folder, 'model') },
    { kind: 'folder', path: () => folder },
  ])('is the size of its $kind by default', async ({ path }) => {
    await writeFile(join(folder, 'model'), Buffer.alloc(100));
    const pool = (budget: number) => new ModelPool([entry('a', path())], { budget });
    await expect(pool(99).use('a')).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    await expect(pool(100).use('a')).resolves.toBeDefined();
  });

  it('is 0 for a path that cannot be read, so that loading reports the error', async () => {
    const pool = new ModelPool(
      [{ ...entry('a', join(folder, 'none')), load: () => Promise.reject(new Error('gone')) }],
      {
        budget: 1,
      },
    );
    await expect(pool.use('a')).rejects.toThrow('gone');
  });
});

describe('a file that is not configured', () => {
  it('is leased without a name, and stays loaded until it is idle', async () => {
    const pool = new ModelPool([entry('a')], { idle: 0.001 });
    const file = { ...entry('upscalers/x', '/x'), version: '1' };
    const [first, second] = [await pool.useFile(file), await pool.useFile(file)];
    expect(second.pipeline).toBe(first.pipeline);
    expect(pool.loaded).toEqual([{ name: 'upscalers/x', bytes: 5, users: 2 }]);
    expect(pool.names).toEqual(['a']);
    expect(() => pool.entry('upscalers/x')).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
    const changed = await pool.useFile({ ...file, version: '2' });
    expect(changed.pipeline).not.toBe(first.pipeline);
    for (const lease of [first, second, changed]) lease.release();
    await expect.poll(() => pool.loaded).toEqual([]);
    expect([first.pipeline.disposed, changed.pipeline.disposed]).toEqual([true, true]);
    expect((await pool.useFile(file)).pipeline).not.toBe(first.pipeline);
    await pool.close();
    expect(pool.loaded).toEqual([]);
  });

  it('is evicted when another model needs the memory, and loaded again after a failure', async () => {
    const file = { ...entry('upscalers/x', '/x'), estimate: async () => 5 };
    const pool = new ModelPool([{ ...entry('b'), estimate: async () => 5 }], { budget: 6 });
    const other = await pool.useFile(file);
    other.release();
    (await pool.use('b')).release();
    expect(other.pipeline.disposed).toBe(true);
    expect(pool.loaded.map(({ name }) => name)).toEqual(['b']);
    const failing = {
      ...file,
      load: async (): Promise<Loaded> => {
        throw new Error('broken');
      },
    };
    await expect(pool.useFile(failing)).rejects.toThrow('broken');
    expect((await pool.useFile(file)).pipeline).toBeInstanceOf(Loaded);
  });
});
