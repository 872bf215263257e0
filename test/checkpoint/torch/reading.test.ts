import { readFileSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import type { TensorIndex } from '../../../lib/checkpoint/weights/tensor-index.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
import { FIXTURES, valuesOf } from '../../support/torch/values.js';
import { call, dict, global, int, pickle, storage, tensor, zipForm } from '../../support/torch/write.js';

type Expected = Record<string, { dtype: string; shape: number[]; values: number[] }>;
const expected = JSON.parse(readFileSync(join(FIXTURES, 'expected.json'), 'utf8')) as Record<
  string,
  Expected
>;
const folder = scratch();

const open = async (name: string, options = {}): Promise<TensorIndex> =>
  (await openWeights(join(FIXTURES, name), options)).tensors;

describe('a file of torch.save', () => {
  test.each(Object.entries(expected))('is read with the tensors of torch.load: %s', async (name, rows) => {
    const tensors = await open(name);
    const found = [...tensors.values()].map((tensor) => [
      tensor.name,
      { dtype: tensor.dtype, shape: tensor.shape, values: valuesOf(tensor) },
    ]);
    expect(Object.fromEntries(found)).toEqual(rows);
  });
});

describe('a checkpoint', () => {
  test('reports tensors with gaps between their elements and keeps the others contiguous', async () => {
    const tensors = await open('views.pt');
    const strided = [...tensors.values()].filter(({ strides }) => strides).map(({ name }) => name.slice(5));
    expect(strided).toEqual(['transposed', 'every_other', 'permuted', 'expanded', 'column', 'channels_last']);
    expect(tensors.get('view.transposed')).toMatchObject({ shape: [6, 4], strides: [1, 6], length: 96 });
    expect(tensors.get('view.rows')).toMatchObject({ shape: [2, 6], length: 48 });
    expect(tensors.get('shared.last')!.offset - tensors.get('shared.first')!.offset).toBe(24);
  });

  test('is recognized by its contents, not its name', async () => {
    const path = join(folder, 'model.safetensors');
    await copyFile(join(FIXTURES, 'protocol-3.pth'), path);
    expect((await openWeights(path)).tensors.size).toBe(2);
    // 640, the length of this header, begins like a pickle: 0x80 0x02.
    const header = Buffer.from('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.padEnd(640));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(640n);
    await writeFile(join(folder, 'model.ckpt'), Buffer.concat([length, header, Buffer.alloc(4)]));
    expect((await openWeights(join(folder, 'model.ckpt'))).tensors.get('a')?.offset).toBe(648);
  });

  test('may be one of several that an index names', async () => {
    const shards = join(folder, 'shards');
    await mkdir(shards);
    await copyFile(join(FIXTURES, 'protocol-4.pth'), join(shards, 'model-00001-of-00002.bin'));
    await copyFile(join(FIXTURES, 'nested.pt'), join(shards, 'model-00002-of-00002.bin'));
    const index = join(shards, 'pytorch_model.bin.index.json');
    const map = { 'a.weight': 'model-00001-of-00002.bin', 'decoder.out.0': 'model-00002-of-00002.bin' };
    await writeFile(index, JSON.stringify({ weight_map: map }));
    const { files, tensors } = await openWeights(index);
    expect(files.length).toBe(2);
    expect(valuesOf(tensors.get('decoder.out.0')!)).toEqual([1]);
  });
});

test('finds the model next to a tensor of the training state', async () => {
  const one = (key: string): Buffer => tensor(storage('F32', key, 1), [1]);
  const saved = pickle(dict({ best: one('0'), state_dict: dict({ 'a.weight': one('1') }) }));
  const path = join(folder, 'beside.pt');
  await writeFile(
    path,
    zipForm(saved, [
      ['0', Buffer.alloc(4)],
      ['1', Buffer.alloc(4)],
    ]),
  );
  expect([...(await openWeights(path)).tensors.keys()]).toEqual(['a.weight']);
});

test.each([
  ['datetime', 'datetime'],
  ['collections', 'deque'],
  ['__builtin__', 'xrange'],
  ['pathlib._local', 'WindowsPath'],
  ['numpy.random._pickle', '__generator_ctor'],
  ['numpy.random.bit_generator', '__pyx_unpickle_SeedSequence'],
])('reads the weights despite a %s.%s in the training settings', async (module, name) => {
  const saved = pickle(
    dict({ hyper: call(global(module, name), int(1)), weights: tensor(storage('F32', '0', 1), [1]) }),
  );
  const path = join(folder, 'settings.pt');
  await writeFile(path, zipForm(saved, [['0', Buffer.alloc(4)]]));
  expect((await openWeights(path)).tensors.size).toBe(1);
});

describe('the moving average of the weights', () => {
  test('replaces the weights on request', async () => {
    const tensors = await open('lightning.ckpt', { ema: true });
    expect([...tensors.keys()]).toEqual([
      'model.a.weight',
      'model.a.bias',
      'model_ema.decay',
      'model_ema.num_updates',
      'scale_factor',
    ]);
    expect(valuesOf(tensors.get('model.a.weight')!)).toEqual([10, 20, 30, 40]);
    expect(tensors.get('model.a.bias')?.name).toBe('model.a.bias');
  });

  test('may be a separate dict', async () => {
    expect(valuesOf((await open('averages.pt', { ema: true })).get('a.bias')!)).toEqual([5, -5]);
  });

  test('has to exist', async () => {
    await expect(open('views.pt', { ema: true })).rejects.toMatchObject({
      code: 'MISSING_TENSOR',
      message: expect.stringMatching(/no moving average/),
    });
  });
});

describe('unsupported files', () => {
  test.each([
    ['module.pt', /whole module \("torch\.nn\.modules\.linear\.Linear"\)/],
    ['module-legacy.pt', /whole module/],
    ['sparse.pt', /"torch\._utils\._rebuild_sparse_tensor": sparse/],
    ['quantized.pt', /of a form that is not read/],
    ['script.pt', /TorchScript/],
  ])('rejects %s by name', async (name, message) => {
    await expect(open(name)).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringMatching(message),
    });
  });
});
