import { expect, test } from 'vitest';
import type { AutoencoderSource } from '../../lib/checkpoint/model-descriptor.js';
import { starterModel } from '../../lib/checkpoint/open.js';
import { openModel } from '../../lib/families/registry.js';
import { Autoencoder } from '../../lib/modules/autoencoder.js';
import { probePrediction } from '../../lib/modules/prediction-probe.js';
import { TextEncoder } from '../../lib/modules/text-encoder.js';
import { UNet } from '../../lib/modules/unet.js';
import { Tensor } from '../../lib/tensor/tensor.js';

const source = await openModel(starterModel);

/** A smooth, non-uniform image: `[1, 3, height, width]` in -1..1. */
function picture(height: number, width: number): Tensor {
  const tensor = Tensor.zeros([1, 3, height, width]);
  for (let i = 0; i < tensor.size; i++) {
    const x = i % width;
    const y = Math.floor(i / width) % height;
    const c = Math.floor(i / width / height);
    tensor.data[i] = 0.5 * Math.sin(x / (9 + 2 * c)) * Math.cos(y / (7 + c)) + 0.3;
  }
  return tensor;
}

test('a text encoder returns states, pooled output and taps by layer', async () => {
  await using encoder = await TextEncoder.load(source.textEncoders[0]!, { threads: 1 });
  const tokens = Tensor.from(
    Int32Array.from({ length: 32 }, (_, i) => (i < 3 ? 4012 - 400 * i : 4013)),
    [1, 32],
  );
  const eosIndex = Tensor.from(Int32Array.of(3), [1]);
  const last = await encoder.encode({ tokens, eosIndex }, { taps: ['text_model.encoder.layers.3'] });
  expect(last.hidden.shape).toEqual([1, 32, 192]);
  // Without a projection, the pooled output is the state at the end token.
  expect([...last.pooled!.data]).toEqual([...last.hidden.data.subarray(3 * 192, 4 * 192)]);
  const raw = await encoder.encode({ tokens }, { layer: 4, finalNorm: false });
  expect(raw.pooled).toBeUndefined();
  const tap = last.taps['text_model.encoder.layers.3']!;
  // A run with taps uses other operations; f32 states in the hundreds differ in their last digits.
  const largest = Math.max(...raw.hidden.data.map(Math.abs));
  const off = Math.max(...tap.data.map((value, i) => Math.abs(value - raw.hidden.data[i]!)));
  expect(off / largest).toBeLessThan(1e-5);
  expect(encoder.nodes().map(({ name }) => name)).toContain('text_model.encoder.layers.0.self_attn.probs');
  await expect(encoder.encode({})).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  await expect(encoder.encode({ tokens }, { layer: 5 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
});

test('a U-Net predicts, can be tapped and measured, and rejects calls after dispose', async () => {
  const loaded: [number, number][] = [];
  const unet = await UNet.load(source.unet, { onProgress: (done, total) => loaded.push([done, total]) });
  expect(loaded.length).toBeGreaterThan(0);
  const [done, total] = loaded.at(-1)!;
  expect(done).toBe(total);
  const inputs = {
    sample: Tensor.zeros([2, 4, 16, 16]),
    timestep: Tensor.from(Float32Array.of(999, 500.5), [2]),
    context: Tensor.zeros([2, 32, 192]),
  };
  const name = 'down_blocks.1.attentions.0.transformer_blocks.0.attn2.probs';
  expect(unet.nodes({ batch: 2, length: 32 }).find((node) => node.name === name)?.shape).toEqual([
    2, 4, 64, 32,
  ]);
  const { sample, taps, timings } = await unet.forward(inputs, { taps: [name] });
  expect(sample.shape).toEqual([2, 4, 16, 16]);
  expect(sample.stats().nan).toBe(0);
  expect(taps[name]?.shape).toEqual([2, 4, 64, 32]);
  expect(timings.compute).toBeGreaterThan(0);
  expect(unet.memory().weights).toBeGreaterThan(20e6);
  await expect(unet.forward({ ...inputs, context: Tensor.zeros([2, 32, 191]) })).rejects.toMatchObject({
    code: 'SHAPE_MISMATCH',
  });
  const stopped = AbortSignal.abort('enough');
  await expect(unet.forward(inputs, { signal: stopped })).rejects.toMatchObject({
    code: 'ABORTED',
    cause: 'enough',
  });
  unet.dispose();
  unet.dispose();
  expect(unet.disposed).toBe(true);
  await expect(unet.forward(inputs)).rejects.toMatchObject({ code: 'DISPOSED' });
  expect(() => unet.memory()).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
  expect(() => unet.nodes()).toThrow(expect.objectContaining({ code: 'DISPOSED' }));
});

test('weights in f32, f16, bf16 or q8_0 take decreasing memory and predict nearly the same', async () => {
  const inputs = {
    sample: picture(16, 16).slice(null, 0).reshape([1, 1, 16, 16]),
    timestep: Tensor.from(Float32Array.of(400), [1]),
    context: Tensor.zeros([1, 32, 192]),
  };
  const sample = Tensor.zeros([1, 4, 16, 16]);
  for (let c = 0; c < 4; c++) sample.data.set(inputs.sample.data, c * 256);
  const room: number[] = [];
  let exact: Tensor | undefined;
  for (const storage of ['f32', 'f16', 'bf16', 'q8_0'] as const) {
    await using unet = await UNet.load(source.unet, { storage });
    const { sample: predicted } = await unet.forward({ ...inputs, sample });
    room.push(unet.memory().weights);
    exact ??= predicted;
    const size = Math.max(...exact.data.map(Math.abs));
    const error = Math.max(...predicted.data.map((value, i) => Math.abs(value - exact!.data[i]!))) / size;
    // The file is f16: f32 and f16 are the same values.
    expect(error).toBeLessThan({ f32: 1e-12, f16: 1e-5, bf16: 5e-2, q8_0: 5e-2 }[storage]);
  }
  expect(room[1]).toBeLessThan(room[0]!);
  expect(room[2]).toBe(room[1]);
  expect(room[3]).toBeLessThan(room[1]!);
});

test('the probe distinguishes eps from v by the level of its answer for a flat latent', async () => {
  await using unet = await UNet.load(source.unet);
  const asked: unknown[] = [];
  const answering = (value: number): UNet =>
    Object.create(unet, {
      forward: {
        value: async (inputs: Parameters<UNet['forward']>[0]) => {
          asked.push([
            inputs.sample.shape,
            inputs.timestep.data[0],
            inputs.context!.shape,
            inputs.context!.data[0],
          ]);
          const sample = Tensor.zeros([1, 4, 8, 8]);
          sample.data.fill(value);
          return { sample, taps: {}, timings: { build: 0, compute: 0 } };
        },
      },
    }) as UNet;
  expect(await probePrediction(answering(-0.6))).toBe('v');
  expect(await probePrediction(answering(-0.4))).toBe('eps');
  expect(await probePrediction(answering(Number.NaN))).toBe('eps');
  expect(asked[0]).toEqual([[1, 4, 8, 8], 999, [1, 2, 192], 0.5]);
  expect(['eps', 'v']).toContain(await probePrediction(unet));
});

test('an autoencoder encodes and decodes an image, and tiles have no seams', async () => {
  await using autoencoder = await Autoencoder.load(source.autoencoder as AutoencoderSource);
  const image = picture(160, 192);
  const moments = await autoencoder.encode(image);
  expect(moments.shape).toEqual([1, 8, 20, 24]);
  const latent = moments.slice(null, [0, 4]);
  const whole = await autoencoder.decode(latent);
  expect(whole.shape).toEqual([1, 3, 160, 192]);
  const told: number[][] = [];
  const tiled = await autoencoder.decode(latent, {
    tile: 96,
    onProgress: (...progress) => told.push(progress),
  });
  expect(told.at(-1)).toEqual([6, 6]);
  expect(tiled.shape).toEqual(whole.shape);
  expect([...(await autoencoder.decode(latent, { tile: 96 })).data]).toEqual([...tiled.data]);
  // Steps between neighboring columns and rows are no larger than in the image decoded as a whole.
  expect(steepest(tiled)).toBeLessThan(1.1 * steepest(whole));
  expect((await autoencoder.encode(image, { tile: 96 })).shape).toEqual(moments.shape);
  const { taps } = await autoencoder.decodeWhole(latent, { taps: ['decoder.mid_block'] });
  expect(taps['decoder.mid_block']?.shape).toEqual([1, 128, 20, 24]);
  expect(
    autoencoder.nodes('encode', { height: 64, width: 32 }).find(({ name }) => name === 'encoder.mid_block')
      ?.shape,
  ).toEqual([1, 128, 8, 4]);
  await expect(autoencoder.encode(picture(100, 96))).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  await expect(autoencoder.decode(latent, { tile: 1 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  await expect(autoencoder.decode(latent.reshape([4, 20, 24]))).rejects.toMatchObject({
    code: 'SHAPE_MISMATCH',
  });
  const stop = new AbortController();
  const stopping = autoencoder.decode(latent, {
    tile: 96,
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  await expect(stopping).rejects.toMatchObject({ code: 'ABORTED' });
});

test('memory fast decodes large images as a whole, and balanced in tiles', async () => {
  const load = (memory: 'fast' | 'balanced') =>
    Autoencoder.load(source.autoencoder as AutoencoderSource, { memory });
  await using fast = await load('fast');
  await using balanced = await load('balanced');
  const moments = await fast.encode(picture(32, 1040));
  expect(moments).toEqual((await fast.encodeWhole(picture(32, 1040))).moments);
  expect(moments).not.toEqual(await balanced.encode(picture(32, 1040)));
  const latent = moments.slice(null, [0, 4]);
  const tiles = async (autoencoder: Autoencoder): Promise<number> => {
    let count = 0;
    await autoencoder.decode(latent, {
      onProgress: (_done, all) => {
        count = all;
      },
    });
    return count;
  };
  expect([await tiles(fast), await tiles(balanced)]).toEqual([1, 2]);
  expect(await fast.decode(latent)).toEqual((await balanced.decodeWhole(latent)).image);
  // Up to 1024 pixels both are the same, and every mode has a limit.
  const small = latent.slice(null, null, null, [0, 64]);
  expect(await fast.decode(small)).toEqual(await balanced.decode(small));
  const [whole, tiled, larger] = await Promise.all([
    fast.decodeBytes(32, 2048),
    balanced.decodeBytes(32, 2048),
    fast.decodeBytes(32, 2056),
  ]);
  expect(whole).toBeGreaterThan(1.5 * tiled);
  expect(larger).toBeLessThan(whole);
});

/** Returns the largest mean difference between two neighboring columns or rows. */
function steepest({ data, shape }: Tensor): number {
  const [, channels = 0, height = 0, width = 0] = shape;
  const columns = new Float64Array(width);
  const rows = new Float64Array(height);
  for (let i = 0; i < data.length; i++) {
    const x = i % width;
    const y = Math.floor(i / width) % height;
    if (x > 0) columns[x]! += Math.abs(data[i]! - data[i - 1]!) / (channels * height);
    if (y > 0) rows[y]! += Math.abs(data[i]! - data[i - width]!) / (channels * width);
  }
  return Math.max(...columns, ...rows);
}
