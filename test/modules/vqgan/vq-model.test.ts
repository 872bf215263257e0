/** Autoencoders with a codebook against taming-transformers and diffusers: equal code indices and images. */

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { VqganModelSource } from '../../../lib/families/shared/vqgan/open-vqgan.js';
import { openVqganModel } from '../../../lib/families/shared/vqgan/open-vqgan.js';
import { Autoencoder } from '../../../lib/modules/autoencoder.js';
import { codeUsage } from '../../../lib/modules/code-usage.js';
import type { LoadOptions } from '../../../lib/modules/loaded-module.js';
import { VQModel } from '../../../lib/modules/vq-model.js';
import type { Tensor } from '../../../lib/tensor/tensor.js';
import { stock, tolerance } from '../../support/stock.js';
import {
  difference,
  expected,
  scratch,
  sections,
  tensorsOf,
  writeCheckpoint,
  writeDiffusers,
} from '../../support/vqgan/autoencoders.js';

// The documented tolerance is 1e-3; f32 arithmetic in another order is far better.
const TOLERANCE = tolerance(2e-5);

const folder = scratch();
const cases = sections('autoencoders');
const CODED = Object.keys(cases).filter((name) => name !== 'kl-f16');

async function source(name: string): Promise<VqganModelSource> {
  const section = cases[name]!;
  const place = join(folder, name);
  if (section.about.config) return openVqganModel(writeDiffusers(place, name, section));
  const { target, params } = section.about;
  return openVqganModel(writeCheckpoint(place, tensorsOf(name, section), { target, params }));
}

const sources = new Map<string, Promise<VqganModelSource>>();

async function load(name: string, options: LoadOptions = {}): Promise<VQModel> {
  const opened = sources.get(name) ?? source(name);
  sources.set(name, opened);
  const { autoencoder } = await opened;
  if (autoencoder.kind !== 'vq_model') throw new Error('no codebook was found');
  return VQModel.load(autoencoder, { threads: 1, ...options });
}

describe.each(CODED)('%s', (name) => {
  const reference = expected('autoencoders', name);

  test('matches latents, code indices, vectors and image of the reference', async () => {
    const model = await load(name);
    const { latent } = await model.encode(await reference.f32('image'));
    expect(difference(latent, await reference.f32('latent'))).toBeLessThan(TOLERANCE);
    const found = await model.quantize(latent);
    expect(found.indices).toEqual(await reference.i32('indices'));
    expect(found.quantized).toEqual(await reference.f32('quantized'));
    const { image } = await model.decode(found.quantized);
    expect(difference(image, await reference.f32('decoded'))).toBeLessThan(TOLERANCE);
    model.dispose();
  });

  test('decodes code indices and latents to the same image, whichever way latents are quantized', async () => {
    const model = await load(name);
    const latent = await reference.f32('latent');
    const indices = await reference.i32('indices');
    // Unknown indices are remapped to other ones.
    const known = !(await reference.has('lookup'));
    const vectors = await reference.f32(known ? 'quantized' : 'lookup');
    const decoded = await reference.f32(known ? 'decoded' : 'from_indices');
    expect(await model.lookup(indices)).toEqual(vectors);
    expect(difference((await model.decode(indices)).image, decoded)).toBeLessThan(TOLERANCE);
    const quantizing = await model.decode(latent, { quantize: true });
    expect(difference(quantizing.image, await reference.f32('decoded'))).toBeLessThan(TOLERANCE);
    model.dispose();
  });

  test('matches inner layers of the reference by diffusers names', async () => {
    const model = await load(name);
    const taps = cases[name]!.about.taps!;
    const of = (half: string): string[] => taps.filter((tap) => tap.startsWith(half));
    const encoded = await model.encode(await reference.f32('image'), { taps: of('encoder') });
    const decoded = await model.decode(await reference.f32('quantized'), { taps: of('decoder') });
    for (const tap of taps) {
      const found = encoded.taps[tap] ?? decoded.taps[tap];
      expect(difference(found, await reference.f32(`tap/${tap}`)), tap).toBeLessThan(TOLERANCE);
    }
    expect(taps.length).toBeGreaterThan(0);
    model.dispose();
  });

  test('computes the same with stock operations, which other backends run', async () => {
    const model = await load(name, { stockOps: true, storage: 'f32' });
    const { latent } = await model.encode(await reference.f32('image'));
    const found = await model.quantize(latent, { distances: true, logits: true });
    expect(found.indices).toEqual(await reference.i32('indices'));
    expect(found.quantized).toEqual(await reference.f32('quantized'));
    const { image } = await model.decode(found.indices);
    const known = !(await reference.has('lookup'));
    const decoded = await reference.f32(known ? 'decoded' : 'from_indices');
    expect(difference(image, decoded)).toBeLessThan(TOLERANCE);
    model.dispose();
  });
});

describe('distances', () => {
  const reference = expected('autoencoders', 'vqgan');

  test.each([false, true])(
    'are those to the chosen codebook entry and to all entries (stock operations: %s)',
    async (stockOps) => {
      const model = await load('vqgan', { stockOps, storage: 'f32' });
      const latent = await reference.f32('latent');
      const all = await reference.f32('distances');
      const found = await model.quantize(latent, { distances: true });
      expect(difference(found.distances!, all)).toBeLessThan(1e-5);
      const codes = model.indexCount;
      const nearest = found.indices.data.map((_, i) =>
        all.data
          .subarray(i * codes, (i + 1) * codes)
          .indexOf(Math.min(...all.data.subarray(i * codes, (i + 1) * codes))),
      );
      expect(found.indices.data).toEqual(nearest);
      found.distance!.data.forEach((d, i) => {
        expect(Math.abs(d - all.data[i * codes + nearest[i]!]!)).toBeLessThan(1e-5);
      });
      expect((await model.quantize(latent)).distances).toBeNull();
      model.dispose();
    },
  );

  test('are logits for the Gumbel kind', async () => {
    const gumbel = expected('autoencoders', 'gumbel');
    const model = await load('gumbel');
    const found = await model.quantize(await gumbel.f32('latent'), { distances: true, logits: true });
    expect(found.distance).toBeNull();
    expect(found.distances).toBeNull();
    expect(difference(found.logits!, await gumbel.f32('logits'))).toBeLessThan(TOLERANCE);
    model.dispose();
  });
});

describe('a KL autoencoder with attention at levels', () => {
  test.each([false, true])('matches the reference (stock operations: %s)', async (stockOps) => {
    const reference = expected('autoencoders', 'kl-f16');
    const { autoencoder } = await source('kl-f16');
    if (autoencoder.kind !== 'autoencoder_kl') throw new Error('no KL autoencoder was found');
    expect(autoencoder.config).toMatchObject({ latent_channels: 6, z_channels: 4 });
    const model = await Autoencoder.load(autoencoder, { threads: 1, stockOps, storage: 'f32' });
    const moments = await model.encode(await reference.f32('image'));
    expect(difference(moments, await reference.f32('moments'))).toBeLessThan(TOLERANCE);
    const image = await model.decode(await reference.f32('latent'));
    expect(difference(image, await reference.f32('decoded'))).toBeLessThan(TOLERANCE);
    model.dispose();
  });
});

describe('load options', () => {
  const reference = expected('autoencoders', 'vqgan');

  async function decoded(options: LoadOptions): Promise<{ indices: Int32Array; image: Tensor }> {
    const model = await load('vqgan', options);
    const { latent } = await model.encode(await reference.f32('image'));
    const { indices } = await model.quantize(latent);
    const { image } = await model.decode(indices);
    model.dispose();
    return { indices: indices.data, image };
  }

  test.skipIf(stock)('threads, f16 storage, lean and fast memory change no bit for an f16 file', async () => {
    const one = await decoded({ storage: 'f32' });
    const ways: LoadOptions[] = [{ threads: 2 }, { storage: 'f16' }, { memory: 'lean' }];
    for (const way of ways) expect(await decoded(way)).toEqual(one);
    const fast = await decoded({ memory: 'fast' });
    expect(fast.indices).toEqual(one.indices);
    expect(difference(fast.image, one.image)).toBeLessThan(TOLERANCE);
  });

  test('the codebook stays exact with any storage', async () => {
    const model = await load('vqgan', { storage: 'q4_0' });
    const latent = await reference.f32('latent');
    const found = await model.quantize(latent);
    expect(found.indices).toEqual(await reference.i32('indices'));
    expect(found.quantized).toEqual(await reference.f32('quantized'));
    model.dispose();
  });

  test('taps do not change the selected indices', async () => {
    const model = await load('vqgan');
    const latent = await reference.f32('latent');
    const { indices, taps } = await model.quantize(latent, { taps: ['quantize'] });
    expect(indices).toEqual(await reference.i32('indices'));
    expect(taps.quantize).toEqual(await reference.f32('quantized'));
    for (const entry of ['encode', 'quantize', 'decode'] as const)
      expect(model.nodes(entry, { height: 20, width: 28 }).length).toBeGreaterThan(0);
    model.dispose();
  });

  test('a run stops when its signal is aborted, and a disposed model rejects calls', async () => {
    const model = await load('vqgan');
    const image = await reference.f32('image');
    await expect(model.encode(image, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    model.dispose();
    await expect(model.encode(image)).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});

test('codeUsage counts indices and computes their perplexity', () => {
  expect(codeUsage(Int32Array.of(2, 2, 2), 4)).toEqual({
    used: 1,
    of: 4,
    perplexity: expect.closeTo(1, 6) as number,
    counts: Int32Array.of(0, 0, 3, 0),
  });
  expect(codeUsage(Int32Array.of(0, 1, 2, 3), 4).perplexity).toBeCloseTo(4, 6);
});
