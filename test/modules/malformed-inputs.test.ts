import { describe, expect, test } from 'vitest';
import type { ConfigValue, NativeConfig, NativeTensor } from '../../lib/binding/types.js';
import { addon, createModule, readFixture } from '../support/native-modules.js';

const f32 = (...shape: number[]): NativeTensor => ({
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  shape,
});
const i32 = (values: number[], ...shape: number[]): NativeTensor => ({
  data: Int32Array.from(values),
  shape,
});

/** Returns the error with which the call fails, or `undefined`. */
async function failure(call: () => unknown): Promise<{ code?: string; message?: string }> {
  try {
    await call();
    return {};
  } catch (error) {
    return error as { code: string; message: string };
  }
}

describe('U-Net inputs', () => {
  const good = {
    sample: f32(1, 4, 6, 6),
    timestep: f32(1),
    context: f32(1, 5, 24),
    text_embeds: f32(1, 20),
    time_ids: f32(1, 6),
  };
  const cases: [string, Record<string, NativeTensor>, string, RegExp][] = [
    [
      'three dimensions',
      { sample: f32(4, 6, 6) },
      'SHAPE_MISMATCH',
      /sample of shape \[B, 4, H, W\].*\[4, 6, 6\]/,
    ],
    ['five dimensions', { sample: f32(1, 1, 4, 6, 6) }, 'SHAPE_MISMATCH', /sample/],
    ['channels of another model', { sample: f32(1, 9, 6, 6) }, 'SHAPE_MISMATCH', /sample/],
    ['a height of 0', { sample: f32(1, 4, 0, 6) }, 'SHAPE_MISMATCH', /sample/],
    ['a batch of 0', { sample: f32(0, 4, 6, 6) }, 'SHAPE_MISMATCH', /sample/],
    [
      'the context of another model',
      { context: f32(1, 5, 23) },
      'SHAPE_MISMATCH',
      /context of shape \[1, T, 24\]/,
    ],
    ['an empty context', { context: f32(1, 0, 24) }, 'SHAPE_MISMATCH', /context/],
    [
      'one context for two images',
      { sample: f32(2, 4, 6, 6), timestep: f32(2) },
      'SHAPE_MISMATCH',
      /context/,
    ],
    ['two timesteps for one image', { timestep: f32(2) }, 'SHAPE_MISMATCH', /timestep/],
    ['a timestep of rank 2', { timestep: f32(1, 1) }, 'SHAPE_MISMATCH', /timestep/],
    ['integer timesteps', { timestep: i32([3], 1) }, 'INVALID_OPTION', /timestep/],
    ['five time ids for six', { time_ids: f32(1, 5) }, 'SHAPE_MISMATCH', /text_embeds of shape \[1, 28\]/],
    ['too many time ids', { time_ids: f32(1, 9) }, 'SHAPE_MISMATCH', /time_ids/],
    ['pooled text of another width', { text_embeds: f32(1, 21) }, 'SHAPE_MISMATCH', /text_embeds/],
    ['an unknown input', { noise: f32(1) }, 'INVALID_OPTION', /noise/],
  ];
  test.each(cases)('are rejected: %s', async (_, change, code, message) => {
    const module = await createModule(await readFixture('unet-sdxl'));
    const error = await failure(() => module.run('forward', { ...good, ...change }, {}).promise);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect((await module.run('forward', good, {}).promise).outputs.sample!.shape).toEqual([1, 4, 6, 6]);
    module.dispose();
  });

  test.each(Object.keys(good))('are rejected if %s is missing', async (name) => {
    const module = await createModule(await readFixture('unet-sdxl'));
    const { [name as keyof typeof good]: _, ...rest } = good;
    const error = await failure(() => module.run('forward', rest as typeof good, {}).promise);
    expect(error).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringContaining(name) });
    module.dispose();
  });

  test('are rejected with sizes beyond any memory if only shapes are computed', async () => {
    const module = await createModule(await readFixture('unet-sd1'));
    const at = (height: number, width: number, batch = 1) =>
      failure(() =>
        module.nodes(
          'forward',
          { sample: [batch, 4, height, width], timestep: [batch], context: [batch, 5, 24] },
          {},
        ),
      );
    expect(await at(64, 64)).toEqual({});
    for (const [height, width, batch] of [
      [2 ** 32, 8, 1],
      [65536, 65536, 1],
      [8, 8, 2 ** 31],
      [2 ** 52, 2 ** 52, 2 ** 52],
    ] as const) {
      expect((await at(height, width, batch)).code).toMatch(/INVALID_OPTION|SHAPE_MISMATCH/);
    }
    for (const side of [-1, 0, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect((await at(side, 8)).code).toMatch(/INVALID_OPTION|SHAPE_MISMATCH/);
    }
    module.dispose();
  });

  test('are rejected for an unknown entry', async () => {
    const module = await createModule(await readFixture('unet-sd1'));
    expect((await failure(() => module.run('encode', good, {}).promise)).code).toBe('INVALID_OPTION');
    module.dispose();
  });
});

describe('text encoder inputs', () => {
  const tokens = i32([1, 2, 3, 4], 1, 4);
  const cases: [string, Record<string, NativeTensor>, NativeConfig, string][] = [
    ['a token beyond the vocabulary', { tokens: i32([1, 57], 1, 2) }, {}, 'INVALID_OPTION'],
    ['a negative token', { tokens: i32([-1, 5], 1, 2) }, {}, 'INVALID_OPTION'],
    ['tokens that are not whole', { tokens: f32(1, 2) }, {}, 'INVALID_OPTION'],
    ['more tokens than positions', { tokens: i32(Array(14).fill(1), 1, 14) }, {}, 'SHAPE_MISMATCH'],
    ['no tokens', { tokens: i32([], 1, 0) }, {}, 'SHAPE_MISMATCH'],
    ['tokens without a batch', { tokens: i32([1], 1) }, {}, 'SHAPE_MISMATCH'],
    ['an end beyond the tokens', { tokens, eos_index: i32([4], 1) }, {}, 'INVALID_OPTION'],
    ['an end before the tokens', { tokens, eos_index: i32([-1], 1) }, {}, 'INVALID_OPTION'],
    ['two ends for one prompt', { tokens, eos_index: i32([1, 1], 2) }, {}, 'SHAPE_MISMATCH'],
    ['tokens and embeddings', { tokens, embeddings: f32(1, 4, 32) }, {}, 'INVALID_OPTION'],
    ['embeddings of another width', { embeddings: f32(1, 4, 31) }, {}, 'SHAPE_MISMATCH'],
    ['a layer that is not there', { tokens }, { layer: 4 }, 'INVALID_OPTION'],
    ['a negative layer', { tokens }, { layer: -1 }, 'INVALID_OPTION'],
    ['half a layer', { tokens }, { layer: 1.5 }, 'INVALID_OPTION'],
    ['a layer by name', { tokens }, { layer: 'last' }, 'INVALID_OPTION'],
    ['nothing', {}, {}, 'INVALID_OPTION'],
  ];
  test.each(cases)('are rejected: %s', async (_, inputs, params, code) => {
    const module = await createModule(await readFixture('clip'));
    expect((await failure(() => module.run('encode', inputs, { params }).promise)).code).toBe(code);
    module.dispose();
  });
});

describe('T5 encoder inputs', () => {
  const tokens = i32([1, 2, 3, 4], 1, 4);
  const cases: [string, Record<string, NativeTensor>, NativeConfig, string, RegExp][] = [
    ['a token beyond the vocabulary', { tokens: i32([1, 57], 1, 2) }, {}, 'INVALID_OPTION', /tokens/],
    ['a negative token', { tokens: i32([-1, 5], 1, 2) }, {}, 'INVALID_OPTION', /tokens/],
    ['tokens that are not whole', { tokens: f32(1, 2) }, {}, 'INVALID_OPTION', /tokens/],
    ['no tokens', { tokens: i32([], 1, 0) }, {}, 'SHAPE_MISMATCH', /tokens/],
    ['tokens without a batch', { tokens: i32([1], 1) }, {}, 'SHAPE_MISMATCH', /tokens/],
    ['a mask of another length', { tokens, mask: i32([1, 1], 1, 2) }, {}, 'SHAPE_MISMATCH', /mask/],
    ['a mask of another batch', { tokens, mask: i32(Array(8).fill(1), 2, 4) }, {}, 'SHAPE_MISMATCH', /mask/],
    ['a mask of numbers', { tokens, mask: f32(1, 4) }, {}, 'INVALID_OPTION', /mask/],
    ['a mask of twos', { tokens, mask: i32([1, 2, 1, 1], 1, 4) }, {}, 'INVALID_OPTION', /mask/],
    ['an input that nobody knows', { tokens, embeddings: f32(1, 4, 32) }, {}, 'INVALID_OPTION', /embeddings/],
    ['no input', {}, {}, 'INVALID_OPTION', /tokens/],
    ['a layer that is not there', { tokens }, { layer: 4 }, 'INVALID_OPTION', /layer/],
    ['a negative layer', { tokens }, { layer: -1 }, 'INVALID_OPTION', /layer/],
    ['half a layer', { tokens }, { layer: 1.5 }, 'INVALID_OPTION', /layer/],
  ];
  test.each(cases)('are rejected: %s', async (_, inputs, params, code, message) => {
    const module = await createModule(await readFixture('t5'));
    const error = await failure(() => module.run('encode', inputs, { params }).promise);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect((await module.run('encode', { tokens }, {}).promise).outputs.hidden!.shape).toEqual([1, 4, 32]);
    module.dispose();
  });

  test('are rejected with lengths beyond any memory if only shapes are computed', async () => {
    const module = await createModule(await readFixture('t5'));
    const at = (batch: number, length: number) =>
      failure(() => module.nodes('encode', { tokens: [batch, length] }, {}));
    expect(await at(2, 512)).toEqual({});
    for (const [batch, length] of [
      [1, 2 ** 20],
      [2 ** 40, 4],
      [0, 4],
      [1, -1],
    ] as const)
      expect((await at(batch, length)).code).toMatch(/INVALID_OPTION|SHAPE_MISMATCH/);
    module.dispose();
  });

  test('may have a mask that hides every token, with finite results', async () => {
    const module = await createModule(await readFixture('t5'));
    const { outputs } = await module.run('encode', { tokens, mask: i32([0, 0, 0, 0], 1, 4) }, {}).promise;
    expect(outputs.hidden!.data.every(Number.isFinite)).toBe(true);
    module.dispose();
  });
});

test.each([
  ['encode', { image: f32(1, 4, 16, 16) }, 'SHAPE_MISMATCH'],
  ['encode', { image: f32(1, 3, 3, 16) }, 'SHAPE_MISMATCH'],
  ['encode', { image: f32(1, 3, 16) }, 'SHAPE_MISMATCH'],
  ['encode', { latent: f32(1, 4, 4, 4) }, 'INVALID_OPTION'],
  ['decode', { latent: f32(1, 3, 4, 4) }, 'SHAPE_MISMATCH'],
  ['decode', { latent: f32(1, 4, 0, 4) }, 'SHAPE_MISMATCH'],
  ['decode', { latent: f32(1, 4, 4, 4), image: f32(1, 3, 16, 16) }, 'INVALID_OPTION'],
])('the autoencoder rejects %s of %o', async (entry, inputs, code) => {
  const module = await createModule(await readFixture('kl'));
  expect(
    (await failure(() => module.run(entry, inputs as Record<string, NativeTensor>, {}).promise)).code,
  ).toBe(code);
  module.dispose();
});

describe('invalid configs', () => {
  const changes: [string, string, Record<string, ConfigValue>][] = [
    ['unet-sd1', 'heads that do not divide the width', { num_attention_heads: [3, 3, 1] }],
    ['unet-sd1', 'no heads', { num_attention_heads: [0, 3, 1] }],
    ['unet-sd1', 'groups that do not divide the channels', { norm_num_groups: 5 }],
    ['unet-sd1', 'no groups', { norm_num_groups: 0 }],
    ['unet-sd1', 'no levels', { block_out_channels: [] }],
    ['unet-sd1', 'lists of different lengths', { layers_per_block: [1, 1] }],
    ['unet-sd1', 'a million levels', { block_out_channels: Array(1e6).fill(16) }],
    ['unet-sd1', 'a million layers', { layers_per_block: [1e6, 1, 1] }],
    ['unet-sd1', 'a billion transformers', { transformer_layers_per_block: [1e9, 1, 1] }],
    ['unet-sd1', 'no transformers where there is attention', { transformer_layers_per_block: [0, 1, 1] }],
    [
      'unet-sd1',
      'as many layers and transformers as each alone may be',
      {
        layers_per_block: [16, 16, 16],
        transformer_layers_per_block: [128, 128, 128],
      },
    ],
    ['unet-sd1', 'channels of 2^40', { in_channels: 2 ** 40 }],
    ['unet-sd1', 'half a channel', { in_channels: 1.5 }],
    ['unet-sd1', 'a negative context', { cross_attention_dim: -24 }],
    ['unet-sd1', 'an epsilon that is not a number', { norm_eps: Number.NaN }],
    ['unet-sd1', 'text for a number', { out_channels: '4' }],
    ['unet-sd1', 'numbers for flags', { down_attention: [1, 1, 0] }],
    ['unet-sd1', 'a missing field', { mid_attention: null }],
    ['unet-sdxl', 'an addition with no room for text', { addition: { time_embed_dim: 8, input_dim: 8 } }],
    ['unet-sdxl', 'an addition of nothing', { addition: { time_embed_dim: 0, input_dim: 0 } }],
    ['clip', 'heads that do not divide the width', { num_attention_heads: 5 }],
    ['clip', 'an activation that nobody knows', { hidden_act: 'relu' }],
    ['clip', 'no layers', { num_hidden_layers: 0 }],
    ['clip', 'a billion layers', { num_hidden_layers: 1e9 }],
    ['clip', 'an empty vocabulary', { vocab_size: 0 }],
    ['t5', 'the activation of the first T5', { feed_forward_proj: 'relu' }],
    ['t5', 'no layers', { num_layers: 0 }],
    ['t5', 'a billion layers', { num_layers: 1e9 }],
    ['t5', 'no heads', { num_heads: 0 }],
    ['t5', 'three buckets', { relative_attention_num_buckets: 3 }],
    ['t5', 'distances that the near buckets already count', { relative_attention_max_distance: 8 }],
    ['t5', 'an epsilon that is not a number', { layer_norm_epsilon: Number.NaN }],
    ['t5', 'a width as text', { d_model: '32' }],
    ['kl', 'no levels', { block_out_channels: [] }],
    ['kl', 'groups that do not divide the channels', { norm_num_groups: 7 }],
    ['kl', 'no layers', { layers_per_block: 0 }],
    ['kl', 'no latent', { latent_channels: 0 }],
  ];
  test.each(changes)('are rejected before anything is built: %s: %s', async (name, _, change) => {
    const { kind, config } = await readFixture(name);
    const { code } = await failure(() => addon.requirements(kind, { ...config, ...change }));
    expect(code).toMatch(/UNSUPPORTED_MODEL|INVALID_OPTION/);
  });

  test('are rejected for an unknown kind of module', async () => {
    const { config } = await readFixture('kl');
    expect((await failure(() => addon.requirements('vq' as 'unet', config))).code).toBe('UNSUPPORTED_MODEL');
  });
});
