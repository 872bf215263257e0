/**
 * Discriminator, perceptual distance and losses against taming-transformers (and latent diffusion's formula
 * for KL).
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { usualLosses } from '../../../lib/checkpoint/config/omegaconf/losses.js';
import { openVqganModel, type VqganModelSource } from '../../../lib/families/shared/vqgan/open-vqgan.js';
import { Autoencoder } from '../../../lib/modules/autoencoder.js';
import type { LoadOptions } from '../../../lib/modules/loaded-module.js';
import { Lpips } from '../../../lib/modules/lpips.js';
import { PatchDiscriminator } from '../../../lib/modules/patch-discriminator.js';
import { VQModel } from '../../../lib/modules/vq-model.js';
import { type LossModules, vqganLosses } from '../../../lib/modules/vqgan-losses.js';
import { patchMap } from '../../../lib/pipelines/trace/patch-map.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import {
  difference,
  expected,
  scratch,
  sections,
  tensorsOf,
  writeCheckpoint,
} from '../../support/vqgan/autoencoders.js';

const TOLERANCE = 2e-5;

const folder = scratch();
const cases = sections('losses');
const names = Object.keys(cases);
const pictures = expected('losses', 'pictures').f32('image');

function open(name: string, config = true, without = /^$/): Promise<VqganModelSource> {
  const { target, params } = cases[name]!.about;
  const tensors = new Map([...tensorsOf(name, cases[name]!)].filter(([key]) => !without.test(key)));
  const place = join(folder, `${name}-${config}-${without.source.replace(/\W/g, '')}`);
  return openVqganModel(writeCheckpoint(place, tensors, config ? { target, params } : null));
}

async function load(source: VqganModelSource, options: LoadOptions = {}): Promise<LossModules> {
  const how = { threads: 1, storage: 'f32', ...options } as const;
  const { autoencoder, discriminator, lpips, logvar } = source;
  return {
    autoencoder:
      autoencoder.kind === 'vq_model'
        ? await VQModel.load(autoencoder, how)
        : await Autoencoder.load(autoencoder, how),
    config: source.losses ?? usualLosses(autoencoder.kind === 'vq_model' ? 'vq' : 'kl'),
    discriminator: discriminator && (await PatchDiscriminator.load(discriminator, how)),
    lpips: lpips && (await Lpips.load(lpips, how)),
    logvar,
  };
}

function dispose({ autoencoder, discriminator, lpips }: LossModules): void {
  for (const module of [autoencoder, discriminator, lpips]) module?.dispose();
}

describe.each(names)('%s', (name) => {
  const reference = expected('losses', name);

  test.each([false, true])('returns the losses of the reference (stock operations: %s)', async (stockOps) => {
    const modules = await load(await open(name), { stockOps });
    for (const { step, d_weight: _, ...log } of cases[name]!.about.logs!) {
      const losses = await vqganLosses(modules, await pictures, { step });
      for (const [key, value] of Object.entries(log)) {
        const found = losses[key as keyof typeof losses] ?? 0; // p_loss is 0 there if its weight is 0
        expect(found, `${key} at step ${step}`).toSatisfy(
          (number: number) => Math.abs(number - value) <= TOLERANCE * Math.max(Math.abs(value), 0.1),
        );
      }
      expect(losses.left_out.filter((why) => !why.startsWith('d_weight'))).toEqual([]);
    }
    dispose(modules);
  });

  test.each([false, true])('returns the logits of each patch (stock operations: %s)', async (stockOps) => {
    const { discriminator } = await open(name);
    const module = await PatchDiscriminator.load(discriminator!, { threads: 1, storage: 'f32', stockOps });
    const { logits } = await module.score(await pictures);
    expect(difference(logits, await reference.f32('logits_real'))).toBeLessThan(TOLERANCE);
    const nodes = module.nodes({ batch: 2, height: 24, width: 32 }).map((node) => node.name);
    const tapped = await module.score(await pictures, { taps: nodes });
    expect(difference(tapped.taps[nodes.at(-1)!], await reference.f32('logits_real'))).toBeLessThan(
      TOLERANCE,
    );
    module.dispose();
  });
});

describe('the perceptual distance', () => {
  test.each([false, true])('matches the reference (stock operations: %s)', async (stockOps) => {
    const modules = await load(await open('hinge'), { stockOps });
    const { tensors } = await vqganLosses(modules, await pictures);
    const { distance, layers } = await modules.lpips!.compare(await pictures, tensors.reconstruction);
    expect(difference(distance, await expected('losses', 'hinge').f32('lpips'))).toBeLessThan(TOLERANCE);
    distance.data.forEach((whole, b) => {
      const parts = layers.data.filter((_, i) => i % 2 === b);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(whole, 5);
    });
    const same = await modules.lpips!.compare(await pictures, await pictures);
    expect([...same.distance.data]).toEqual([0, 0]);
    dispose(modules);
  });
});

describe('a missing part of a checkpoint is omitted and reported', () => {
  test('for the perceptual loss', async () => {
    const modules = await load(await open('hinge', true, /perceptual_loss/));
    expect(modules.lpips).toBeNull();
    const losses = await vqganLosses(modules, await pictures);
    expect(losses.p_loss).toBeNull();
    expect(losses.rec_loss).toBe(losses.pixel_loss);
    expect(losses.left_out.join()).toContain('loss.perceptual_loss');
    dispose(modules);
  });

  test('for the discriminator', async () => {
    const modules = await load(await open('hinge', true, /discriminator/));
    const losses = await vqganLosses(modules, await pictures);
    expect([losses.g_loss, losses.disc_loss, losses.logits_real, losses.logits_fake]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(losses.left_out.join()).toContain('loss.discriminator');
    dispose(modules);
  });

  test('for the config, with the usual values, and the discriminator counts if the training step is unknown', async () => {
    const source = await open('vanilla', false);
    expect(source.losses).toBeNull();
    expect(source.discriminator!.config).toEqual({ in_channels: 3, ndf: 8, n_layers: 3, use_actnorm: true });
    const modules = await load(source);
    const losses = await vqganLosses(modules, await pictures);
    expect(losses.disc_factor).toBe(1);
    expect(losses.disc_loss).toBeGreaterThan(0);
    dispose(modules);
  });
});

test('patchMap covers the image, from certainly generated to certainly real', () => {
  const image = { data: new Uint8Array(8 * 4 * 3).fill(100), width: 8, height: 4 };
  const { map, overlay } = patchMap(image, Tensor.from(Float32Array.of(-30, 30, -30, 30), [1, 2, 2]));
  expect(map.shape).toEqual([4, 8]);
  expect(map.data[0]).toBeCloseTo(0, 6);
  expect(map.data[7]).toBeCloseTo(1, 6);
  expect([overlay.width, overlay.height, overlay.data.length]).toEqual([8, 4, image.data.length]);
  expect([...overlay.data.subarray(0, 3)]).not.toEqual([...overlay.data.subarray(21, 24)]);
  expect(patchMap(image, Tensor.from(Float32Array.of(0), [1, 1])).map.data.every((v) => v === 0.5)).toBe(
    true,
  );
});
