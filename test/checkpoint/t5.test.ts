import { describe, expect, test } from 'vitest';
import { readT5Config } from '../../lib/checkpoint/config/diffusers/t5.js';
import { findT5 } from '../../lib/checkpoint/naming/t5.js';
import { t5FromTensors } from '../../lib/checkpoint/open-t5.js';
import type { TensorInfo } from '../../lib/checkpoint/weights/tensor-index.js';
import { readT5Fixture } from '../support/text/t5.js';

type Shapes = Readonly<Record<string, number[]>>;
interface Names {
  /** Shapes of transformers' `T5EncoderModel`. */
  readonly shapes: Shapes;
  /** Names of the gguf package. */
  readonly gguf: Readonly<Record<string, string>>;
  /** Shapes of a whole `T5ForConditionalGeneration`, with its decoder. */
  readonly whole: Shapes;
  /** Shapes of the first version of T5. */
  readonly first: Shapes;
  readonly config: Record<string, unknown>;
}

const names = readT5Fixture<Names>('names');
const { shapes, gguf, config } = names;
const parameters = Object.keys(shapes);
const native = {
  vocab_size: 100,
  d_model: 32,
  d_kv: 8,
  d_ff: 48,
  num_layers: 2,
  num_heads: 3,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  layer_norm_epsilon: 1e-6,
  feed_forward_proj: 'gated-gelu',
};

function index(tensors: Shapes): Map<string, TensorInfo> {
  return new Map(
    Object.entries(tensors).map(([name, shape]) => [
      name,
      { name, file: '/f', offset: 0, length: 2 * shape.reduce((a, b) => a * b, 1), dtype: 'F16', shape },
    ]),
  );
}

const renamed = (tensors: Shapes, name: (canonical: string) => string): Shapes =>
  Object.fromEntries(Object.entries(tensors).map(([key, shape]) => [name(key), shape]));

function failure(call: () => unknown): { code?: string; message?: string } {
  try {
    call();
    return {};
  } catch (error) {
    return error as { code: string; message: string };
  }
}

describe('T5 tensor names', () => {
  const forms: [string, string, Shapes][] = [
    ['a folder', 'transformers', shapes],
    [
      'a single file of SD3',
      'transformers',
      renamed(shapes, (name) => `text_encoders.t5xxl.transformer.${name}`),
    ],
    ["llama.cpp's GGUF", 'llama.cpp', renamed(shapes, (name) => gguf[name]!)],
    ['a whole T5 with its decoder', 'transformers', names.whole],
    [
      'a file with the embedding under its alternative name',
      'transformers',
      renamed(shapes, (name) => (name === 'shared.weight' ? 'encoder.embed_tokens.weight' : name)),
    ],
    [
      'a file with the embedding under both names',
      'transformers',
      { 'encoder.embed_tokens.weight': [100, 32], ...shapes },
    ],
  ];
  test.each(forms)('map to every parameter and back for %s', (_, dialect, tensors) => {
    const naming = findT5(Object.keys(tensors))!;
    expect(naming.dialect).toBe(dialect);
    const { weights, config: found } = t5FromTensors(index(tensors), 'file');
    expect([...weights.parameters.keys()].sort()).toEqual([...parameters].sort());
    for (const name of parameters) {
      const { tensor, shape } = weights.parameter(name);
      expect(shape).toEqual(shapes[name]);
      expect(naming.source(name)).toBe(tensor.name);
    }
    expect(found).toEqual(native);
  });

  test('are not found in a file without T5', () => {
    expect(findT5(['text_model.embeddings.token_embedding.weight', 'shared.weight'])).toBeNull();
    expect(failure(() => t5FromTensors(index({ 'shared.weight': [3, 4] }), 'file'))).toMatchObject({
      code: 'MISSING_TENSOR',
    });
  });
});

describe('a T5 config from tensors', () => {
  const without = (...gone: string[]) =>
    Object.fromEntries(Object.entries(shapes).filter(([name]) => !gone.includes(name)));
  const block = 'encoder.block';
  const bias = 'layer.0.SelfAttention.relative_attention_bias.weight';
  const cases: [string, Shapes, string, RegExp][] = [
    ['the first version of T5', names.first, 'UNSUPPORTED_MODEL', /ReLU/],
    ['a UMT5', { ...shapes, [`${block}.1.${bias}`]: [32, 3] }, 'UNSUPPORTED_MODEL', /UMT5/],
    ['a file without its embedding', without('shared.weight'), 'MISSING_TENSOR', /shared\.weight/],
    [
      'a file without its position bias',
      without(`${block}.0.${bias}`),
      'MISSING_TENSOR',
      /relative_attention_bias/,
    ],
    [
      'a position bias of another rank',
      { ...shapes, [`${block}.0.${bias}`]: [32, 3, 2] },
      'SHAPE_MISMATCH',
      /relative/,
    ],
    [
      'a file without one of its blocks',
      renamed(shapes, (name) => name.replace('block.1.', 'block.5.')),
      'MISSING_TENSOR',
      /block\.1\./,
    ],
  ];
  test.each(cases)('rejects %s', (_, tensors, code, message) => {
    expect(failure(() => t5FromTensors(index(tensors), 'file'))).toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});

describe("a T5 config from transformers' config.json", () => {
  test('contains the fields of the module', () => {
    expect(readT5Config(config, 'config.json')).toEqual(native);
  });

  test("has transformers' defaults for missing fields", () => {
    expect(readT5Config({ model_type: 't5', feed_forward_proj: 'gated-gelu' }, 'c')).toEqual({
      ...native,
      vocab_size: 32128,
      d_model: 512,
      d_kv: 64,
      d_ff: 2048,
      num_layers: 6,
      num_heads: 8,
    });
  });

  test.each([
    ['relu', { feed_forward_proj: 'relu' }, 'UNSUPPORTED_MODEL'],
    ['no activation, which defaults to relu', { feed_forward_proj: undefined }, 'UNSUPPORTED_MODEL'],
    ['gated-silu', { feed_forward_proj: 'gated-silu' }, 'UNSUPPORTED_MODEL'],
    ['an activation that contradicts its projection', { dense_act_fn: 'silu' }, 'UNSUPPORTED_MODEL'],
    ['another kind of model', { model_type: 'umt5' }, 'UNSUPPORTED_MODEL'],
    ['another architecture', { architectures: ['BertModel'] }, 'UNSUPPORTED_MODEL'],
    ['a billion layers', { num_layers: 1e9 }, 'INVALID_FILE'],
    ['a fractional head width', { num_heads: 0.5 }, 'INVALID_FILE'],
    ['a negative width', { d_model: -1 }, 'INVALID_FILE'],
    ['text in place of a number', { d_ff: '2048' }, 'INVALID_FILE'],
    ['only two buckets', { relative_attention_num_buckets: 2 }, 'INVALID_FILE'],
  ])('rejects %s', (_, change, code) => {
    expect(failure(() => readT5Config({ ...config, ...change }, 'config.json')).code).toBe(code);
  });
});
