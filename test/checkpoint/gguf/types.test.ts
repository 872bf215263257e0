/** Every quantized type against the values that Python's gguf computes from the same bytes. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { BlockType, SourceType, StorageType } from '../../../lib/binding/types.js';
import { readGguf } from '../../../lib/checkpoint/formats/gguf.js';
import type { TensorInfo } from '../../../lib/checkpoint/weights/tensor-index.js';
import {
  create,
  embeddingsOf,
  FINAL_NORM,
  POSITIONS,
  PROJECTION,
  planOf,
  removeFiles,
  replaced,
  TOKEN_EMBEDDING,
  tokens,
} from '../../native/tiny.js';

afterAll(removeFiles);

const path = fileURLToPath(new URL('../../fixtures/gguf/types.gguf', import.meta.url));
const file = readFileSync(path);
const { tensors } = await readGguf(path);
const types = [...tensors.keys()].filter((name) => !name.endsWith('.values')) as BlockType[];

const bytesOf = ({ offset, length }: TensorInfo): Buffer => file.subarray(offset, offset + length);
function valuesOf(type: string): Float32Array {
  const bytes = bytesOf(tensors.get(`${type}.values`)!);
  return new Float32Array(new Uint8Array(bytes).buffer);
}

const config = {
  vocab_size: 2,
  hidden_size: 256,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 8,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-5,
  projection_dim: 2,
} as const;
const flat = planOf(config, { [POSITIONS]: () => 0 });

/** Returns the largest difference, relative to the largest value. */
function difference(a: Float32Array, b: Float32Array): number {
  const size = Math.max(...b.map(Math.abs));
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / size;
}

test('covers every type in the fixture', () => {
  expect(types.length).toBe(23);
});

describe.each(types)('%s', (type) => {
  const source = tensors.get(type)!;

  test('is dequantized to the reference values', async () => {
    expect(source.dtype).toBe(type);
    const entry = { type: type as SourceType, shape: [2, 256] };
    const found = await embeddingsOf(replaced(flat, TOKEN_EMBEDDING, bytesOf(source), entry), config);
    expect(difference(found, valuesOf(type))).toBeLessThan(1e-6);
  });

  test('is used as stored, by our kernels and by stock operations, also when mapped', async () => {
    // The final norm returns 0 times the state plus a unit vector, so that the pooled output is a column of
    // the projection.
    const column = 77;
    const plan = planOf(config, {
      [`${FINAL_NORM}.weight`]: () => 0,
      [`${FINAL_NORM}.bias`]: (i) => (i === column ? 1 : 0),
    });
    const kept = type.endsWith('_K') ? `${type.slice(0, -1).toLowerCase()}K` : type.toLowerCase();
    const entry = { type: type as SourceType, shape: [2, 256], storage: kept as StorageType };
    const values = valuesOf(type);
    const expected = Float32Array.of(values[column]!, values[256 + column]!);
    const size = Math.max(...values.map(Math.abs));
    for (const how of [{}, { stockOps: true }, { mapWeights: true }]) {
      // 64 bytes before it: a mapped weight has to be aligned.
      const module = await create(replaced(plan, PROJECTION, bytesOf(source), entry, 64), how, config);
      const inputs = { ...tokens(1, 0), eos_index: { data: Int32Array.of(1), shape: [1] } };
      const { outputs } = await module.run('encode', inputs);
      module.dispose();
      const worst =
        Math.max(...expected.map((value, i) => Math.abs(value - outputs.pooled!.data[i]!))) / size;
      // Stock products round the other input to 8 bits, which hardly changes a unit vector.
      expect(worst, JSON.stringify(how)).toBeLessThan('stockOps' in how ? 1e-2 : 1e-6);
    }
  });
});

describe('rows and columns of blocks', () => {
  const q4 = tensors.get('Q4_0')!;
  const values = valuesOf('Q4_0');
  const one = { ...config, vocab_size: 1 };

  test('slices rows', async () => {
    const plan = replaced(planOf(one, { [POSITIONS]: () => 0 }), TOKEN_EMBEDDING, bytesOf(q4), {
      type: 'Q4_0',
      shape: [1, 256],
      sourceShape: [2, 256],
      transform: { op: 'rows', start: 1, end: 2 },
    });
    expect(difference(await embeddingsOf(plan, one), values.subarray(256))).toBeLessThan(1e-6);
  });

  test('transposes a matrix', async () => {
    // [2, 256] as [256, 2]: a vocabulary of 256 words with 2 values each.
    const narrow = { ...config, vocab_size: 256, hidden_size: 2, num_attention_heads: 1 };
    const plan = replaced(planOf(narrow, { [POSITIONS]: () => 0 }), TOKEN_EMBEDDING, bytesOf(q4), {
      type: 'Q4_0',
      shape: [256, 2],
      sourceShape: [2, 256],
      transform: { op: 'transpose' },
    });
    const turned = Float32Array.from({ length: 512 }, (_, i) => values[(i % 2) * 256 + Math.floor(i / 2)]!);
    expect(difference(await embeddingsOf(plan, narrow), turned)).toBeLessThan(1e-6);
  });

  test('rejects a slice through blocks and types that cannot be written', async () => {
    const bad = (entry: Parameters<typeof replaced>[3]) =>
      create(replaced(planOf(config), PROJECTION, bytesOf(q4), entry), {}, config);
    await expect(bad({ type: 'Q4_0', shape: [2, 256], sourceShape: [32, 16] })).rejects.toMatchObject({
      code: 'INVALID_FILE',
    });
    await expect(bad({ type: 'Q4_0', shape: [2, 256], storage: 'q4_1' as 'q4_0' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('to q4_1: weights of this type can only be copied'),
    });
  });
});
