/** Upscaling networks against spandrel: layers and results, with our kernels and with stock operations. */

import { describe, expect, test } from 'vitest';
import { openUpscaler } from '../../../lib/checkpoint/open-upscaler.js';
import type { LoadOptions } from '../../../lib/modules/loaded-module.js';
import { UpscalerNetwork } from '../../../lib/modules/upscaler-network.js';
import { tolerance } from '../../support/stock.js';
import { NAMES, networks, reference, writeNetwork } from '../../support/upscale/networks.js';
import { difference, scratch } from '../../support/vqgan/autoencoders.js';

// The documented tolerance is 1e-3; f32 arithmetic in another order is far better.
const TOLERANCE = tolerance(3e-5);

const folder = scratch();

async function load(name: string, options: LoadOptions = {}): Promise<UpscalerNetwork> {
  const source = await openUpscaler(writeNetwork(folder, name));
  return UpscalerNetwork.load(source, { backend: 'cpu', threads: 2, ...options });
}

describe.each(NAMES)('%s', (name) => {
  const { about } = networks[name]!;

  test('is recognized with the scale and channels that spandrel finds', async () => {
    const { facts } = await openUpscaler(writeNetwork(folder, name));
    expect(facts).toMatchObject({ scale: about.scale, channels: about.channels });
  });

  test.each([
    ['our kernels', {}],
    ['stock operations', { stockOps: true, storage: 'f32' }],
    ['weights mapped from the file', { memory: 'lean' }],
  ] as const)('matches the reference with %s', async (_, options) => {
    await using network = await load(name, options);
    const { image } = await network.upscale(await reference(name, 'image'));
    expect(difference(image, await reference(name, 'output'))).toBeLessThan(TOLERANCE);
  });

  test('computes the same for any number of threads', async () => {
    const image = await reference(name, 'image');
    await using one = await load(name, { threads: 1 });
    await using three = await load(name, { threads: 3 });
    expect((await three.upscale(image)).image.data).toEqual((await one.upscale(image)).image.data);
  });
});

test.each(NAMES.filter((name) => networks[name]!.about.taps.length > 0))(
  '%s matches inner layers of the reference',
  async (name) => {
    const { taps: names } = networks[name]!.about;
    await using network = await load(name);
    const { taps } = await network.upscale(await reference(name, 'image'), { taps: names });
    for (const tap of names)
      expect(difference(taps[tap], await reference(name, `tap/${tap}`)), tap).toBeLessThan(TOLERANCE);
  },
);

test('rejects images of other channels', async () => {
  await using network = await load('compact-grey');
  await expect(network.upscale(await reference('compact', 'image'))).rejects.toMatchObject({
    code: 'SHAPE_MISMATCH',
  });
});
