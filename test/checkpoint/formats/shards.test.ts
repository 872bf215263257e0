import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { scratch, writeJson, writeSparse } from '../../support/checkpoint/sparse-files.js';

const folder = scratch();
const tensor = { dtype: 'F16', shape: [4] };
let count = 0;

/** Writes a folder with two shards and an index with this map. @returns the path of the index */
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
  test('are found in their files, including tensors that the index lacks', async () => {
    const index = await sharded({ a: 'model-1.safetensors', b: 'parts/model-2.safetensors' });
    const { tensors, files } = await openWeights(index);
    expect([...tensors.keys()]).toEqual(['a', 'b', 'spare']);
    expect(tensors.get('b')?.file).toMatch(/parts\/model-2\.safetensors$/);
    expect(tensors.get('spare')?.file).toMatch(/model-1\.safetensors$/);
    expect(files).toHaveLength(2);
  });

  test('are rejected by name if a listed tensor is missing', async () => {
    const index = await sharded({ a: 'model-1.safetensors', c: 'parts/model-2.safetensors' });
    await expect(openWeights(index)).rejects.toMatchObject({
      code: 'MISSING_TENSOR',
      message: expect.stringContaining('"c"'),
    });
  });

  test('are rejected by name if a file is missing', async () => {
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
  ])('must not be named %j', async (name) => {
    await writeSparse(join(folder, 'outside.safetensors'), { a: tensor });
    const index = await sharded({ a: name });
    await expect(openWeights(index)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  test('must not be links out of their folder, but may be links within it', async () => {
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
    ['no weight_map', '{"metadata":{}}'],
    ['an empty weight_map', '{"weight_map":{}}'],
    ['a weight_map of numbers', '{"weight_map":{"a":1}}'],
    ['a duplicate tensor', '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}'],
    ['invalid JSON', 'weights'],
    ['an array', '[]'],
  ])('with %s are rejected', async (_, text) => {
    const path = join(folder, `bad-${count++}.safetensors.index.json`);
    await writeFile(path, text);
    await expect(openWeights(path)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });
});
