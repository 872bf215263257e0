import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { ConfigValue, NativeTensor } from '../../lib/binding/types.js';
import { openWeights } from '../../lib/checkpoint/formats/open-weights.js';
import type { TinyAutoencoderSource } from '../../lib/checkpoint/model-descriptor.js';
import { openAutoencoder } from '../../lib/checkpoint/open-autoencoder.js';
import { openTinyAutoencoder } from '../../lib/checkpoint/tiny-autoencoder.js';
import { TinyAutoencoder } from '../../lib/modules/codecs/tiny-autoencoder.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { addon, createModule, readFixture } from '../support/native-modules.js';
import { originalHalf, writeTaesdFolder, writeTensors } from '../support/taesd.js';
import { noise } from '../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-taesd-module-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const UNSCALED = { scaling_factor: 1, shift_factor: 0 };

function tensor(name: string, ...shape: number[]): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return Tensor.from(noise(name, size), shape);
}

async function complete(options = {}): Promise<TinyAutoencoder> {
  const source = await openAutoencoder(writeTaesdFolder(join(root, 'complete')), undefined, UNSCALED);
  return TinyAutoencoder.load(source as TinyAutoencoderSource, { threads: 1, ...options });
}

async function half(name: 'encoder' | 'decoder'): Promise<TinyAutoencoder> {
  const path = writeTensors(join(root, name, `taesd_${name}.safetensors`), originalHalf(name));
  const { tensors } = await openWeights(path);
  return TinyAutoencoder.load(await openTinyAutoencoder(path, tensors), { threads: 1 });
}

/** Returns the largest difference. */
function largest(a: Tensor, b: Tensor): number {
  expect(a.shape).toEqual(b.shape);
  return a.data.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b.data[i]!)), 0);
}

describe('a tiny autoencoder', () => {
  test('decodes and encodes in tiles as in one piece, except for slight differences where tiles overlap', async () => {
    await using model = await complete();
    expect(model.downsampleFactor).toBe(4);
    const latent = tensor('latent', 2, 4, 100, 20);
    const whole = await model.decode(latent, { tile: Number.POSITIVE_INFINITY });
    let tiles = 0;
    const onProgress = () => tiles++;
    const tiled = await model.decode(latent, { tile: 240, onProgress });
    expect(tiles).toBe(4);
    expect(largest(tiled, whole)).toBeLessThan(0.1);
    // Tiles of 58 rows overlap in rows 42 to 58 of the latent.
    const first = (image: Tensor) => image.slice(null, null, [0, 4 * 40]);
    expect(largest(first(tiled), first(whole))).toBeLessThan(1e-5);
    const image = tensor('image', 1, 3, 400, 80);
    const encoded = await model.encode(image, { tile: Number.POSITIVE_INFINITY });
    expect(encoded.shape).toEqual([1, 4, 100, 20]);
    expect(largest(await model.encode(image, { tile: 240 }), encoded)).toBeLessThan(0.15);
  });

  test('needs a fraction of the memory per tile in lean mode', async () => {
    await using balanced = await complete();
    await using lean = await complete({ memory: 'lean' });
    const [whole, tiled] = [await balanced.decodeBytes(1024, 1024), await lean.decodeBytes(1024, 1024)];
    expect(tiled).toBeLessThan(whole / 8);
    expect(await balanced.decodeBytes(512, 512)).toBeLessThan(whole / 3);
  });

  test('returns the values of its nodes and accepts other values in their place', async () => {
    await using model = await complete();
    const names = model.nodes('decode', { height: 32, width: 32 }).map(({ name }) => name);
    expect(names).toContain('decoder.layers.2.conv.0');
    expect(model.nodes('encode', { height: 32, width: 32 }).at(-1)).toEqual({
      name: 'encoder.layers.6',
      shape: [1, 4, 8, 8],
    });
    const latent = tensor('latent', 1, 4, 8, 8);
    const { image, taps } = await model.decodeWhole(latent, { taps: ['decoder.layers.1'] });
    expect(Math.min(...taps['decoder.layers.1']!.data)).toBe(0); // after its ReLU
    const zero = Tensor.zeros([1, 8, 8, 8]);
    const changed = await model.decodeWhole(latent, { overrides: { 'decoder.layers.1': zero } });
    expect(largest(changed.image, image)).toBeGreaterThan(0.1);
    const encoded = await model.encodeWhole(image, { taps: ['encoder.layers.6'] });
    expect(encoded.taps['encoder.layers.6']!.data).toEqual(encoded.latent.data);
  });

  test('returns the same results for a half alone', async () => {
    await using both = await complete();
    await using encoder = await half('encoder');
    await using decoder = await half('decoder');
    const latent = tensor('latent', 1, 4, 6, 5);
    const image = await both.decode(latent);
    expect((await decoder.decode(latent)).data).toEqual(image.data);
    expect((await encoder.encode(image)).data).toEqual((await both.encode(image)).data);
    expect(decoder.memory().weights).toBeLessThan(both.memory().weights);
  });

  test('rejects a call of the half that is missing, naming its file', async () => {
    await using encoder = await half('encoder');
    await using decoder = await half('decoder');
    await expect(decoder.encode(tensor('image', 1, 3, 8, 8))).rejects.toMatchObject({
      code: 'MISSING_TENSOR',
      message: expect.stringMatching(/only the decoder.*its encoder; put taesd_encoder\.safetensors/),
    });
    await expect(encoder.decode(tensor('latent', 1, 4, 8, 8))).rejects.toMatchObject({
      code: 'MISSING_TENSOR',
      message: expect.stringMatching(/only the encoder.*its decoder; put taesd_decoder\.safetensors/),
    });
  });

  test('rejects latents and images of another shape', async () => {
    await using model = await complete();
    await expect(model.decode(tensor('latent', 1, 16, 8, 8))).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
    await expect(model.encode(tensor('image', 1, 3, 10, 8))).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});

const f32 = (...shape: number[]): NativeTensor => ({
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  shape,
});

test.each([
  ['encode', { image: f32(1, 4, 16, 16) }, 'SHAPE_MISMATCH'],
  ['encode', { image: f32(1, 3, 0, 16) }, 'SHAPE_MISMATCH'],
  ['encode', { image: f32(3, 16, 16) }, 'SHAPE_MISMATCH'],
  ['encode', { latent: f32(1, 4, 4, 4) }, 'INVALID_OPTION'],
  ['decode', { latent: f32(1, 3, 4, 4) }, 'SHAPE_MISMATCH'],
  ['decode', { latent: f32(1, 4, 4, 4), image: f32(1, 3, 8, 8) }, 'INVALID_OPTION'],
  ['forward', { latent: f32(1, 4, 4, 4) }, 'INVALID_OPTION'],
])('the graph of a tiny autoencoder rejects %s of %o', async (entry, inputs, code) => {
  const module = await createModule(await readFixture('taesd'));
  const run = () => module.run(entry, inputs as Record<string, NativeTensor>, {}).promise;
  await expect((async () => run())()).rejects.toMatchObject({ code });
  module.dispose();
});

test('the graph of a tiny autoencoder rejects sizes beyond any memory if only shapes are computed', async () => {
  const module = await createModule(await readFixture('taesd'));
  expect(module.nodes('decode', { latent: [1, 4, 64, 64] }, {}).length).toBeGreaterThan(5);
  for (const side of [65_536, 2 ** 32, 2 ** 52])
    expect(() => module.nodes('decode', { latent: [1, 4, side, side] }, {})).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/INVALID_OPTION|SHAPE_MISMATCH/) }),
    );
  module.dispose();
});

test.each<[string, Record<string, ConfigValue>]>([
  ['no half', { encoder: null, decoder: null }],
  ['no layers', { encoder: [] }],
  ['layers that are no list', { decoder: 'conv' }],
  ['a layer of an unknown kind', { encoder: [{ op: 'attention', out: 4 }] }],
  ['a layer without channels', { encoder: [{ op: 'conv', out: 0, stride: 1, bias: true }] }],
  ['a stride of 3', { encoder: [{ op: 'conv', out: 4, stride: 3, bias: true }] }],
  ['another number of latent channels', { latent_channels: 8 }],
  ['an activation at the end', { decoder: [{ op: 'relu' }] }],
  [
    'a branch whose channels do not form groups',
    {
      decoder: [
        { op: 'block', out: 4, pool_channels: 6 },
        { op: 'conv', out: 3, stride: 1, bias: true },
      ],
    },
  ],
  ['a thousand layers', { decoder: Array(1000).fill({ op: 'relu' }) }],
])('a config of a tiny autoencoder is rejected with %s', async (_, change) => {
  const { kind, config } = await readFixture('taesd');
  expect(() => addon.requirements(kind, { ...config, ...change })).toThrow(
    expect.objectContaining({ code: expect.stringMatching(/UNSUPPORTED_MODEL|INVALID_OPTION/) }),
  );
});
