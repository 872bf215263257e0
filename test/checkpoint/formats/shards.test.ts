import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { scratch, writeJson, writeSparse } from '../../support/checkpoint/sparse-files.js';

const folder = scratch();
const tensor = { dtype: 'F16', shape: [4] };
let count = 0;

/** A folder of its own with two shards, and an index with this map. */
async function sharded(map: unknown): Promise<string> {
  const own = join(folder, `${count++}`);
  await writeSparse(join(own, 'model-1.safetensors'), { a: tensor, spare: tensor });
  await writeSparse(join(own, 'parts', 'model-2.safetensors'), { b: tensor, spare: tensor });
  return writeJson(join(own, 'model.safetensors.index.json'), {
    metadata: { total_size: 32 },
    weight_map: map,
  });
}

describe('sharded weights', () => {
  test('are found in their files, and what the index forgot is listed too', async () => {
    const index = await sharded({ a: 'model-1.safetensors', b: 'parts/model-2.safetensors' });
    const { tensors, files } = await openWeights(index);
    expect([...tensors.keys()]).toEqual(['a', 'b', 'spare']);
    expect(tensors.get('b')?.file).toMatch(/parts\/model-2\.safetensors$/);
    expect(tensors.get('spare')?.file).toMatch(/model-1\.safetensors$/);
    expect(files).toHaveLength(2);
  });

  test('that lack a promised tensor are refused by its name', async () => {
    const index = await sharded({ a: 'model-1.safetensors', c: 'parts/model-2.safetensors' });
    await expect(openWeights(index)).rejects.toMatchObject({
      code: 'MISSING_TENSOR',
      message: expect.stringContaining('"c"'),
    });
  });

  test('that lack a file are refused by its name', async () => {
    const index = await sharded({ a: 'model-9.safetensors' });
    await expect(openWeights(index)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('model-9'),
    });
  });

  test.each([
    '../outside.safetensors',
    'parts/../model-1.safetensors',
    '/etc/passwd',
    'C:\\model.safetensors',
    'C:model.safetensors',
    '..\\outside.safetensors',
    'model-1.safetensors\0',
    '',
  ])('may not be named %j', async (name) => {
    await writeSparse(join(folder, 'outside.safetensors'), { a: tensor });
    const index = await sharded({ a: name });
    await expect(openWeights(index)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  test('may not be links out of their folder, but links inside it are fine', async () => {
    const index = await sharded({ a: 'link.safetensors' });
    const own = join(index, '..');
    await writeSparse(join(folder, 'outside.safetensors'), { a: tensor });
    await symlink(join(folder, 'outside.safetensors'), join(own, 'link.safetensors'));
    await expect(openWeights(index)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringContaining('link'),
    });
    await symlink('model-1.safetensors', join(own, 'inner.safetensors'));
    await writeJson(index, { weight_map: { a: 'inner.safetensors' } });
    expect((await openWeights(index)).tensors.has('a')).toBe(true);
  });

  test.each([
    ['no map', '{"metadata":{}}'],
    ['an empty map', '{"weight_map":{}}'],
    ['a map of numbers', '{"weight_map":{"a":1}}'],
    ['a tensor listed twice', '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}'],
    ['no JSON', 'weights'],
    ['an array', '[]'],
  ])('with %s are refused', async (_, text) => {
    const path = join(folder, `bad-${count++}.safetensors.index.json`);
    await writeFile(path, text);
    await expect(openWeights(path)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });
});
