/** Upscaling in tiles against upscaling in one piece. */
import { expect, test } from 'vitest';
import { Upscaler } from '../../../lib/pipelines/upscale/upscaler.js';
import { largestDifference, testImage } from '../../support/upscale/images.js';
import { writeNetwork } from '../../support/upscale/networks.js';
import { scratch } from '../../support/vqgan/autoencoders.js';

const folder = scratch();

const load = (name: string, memory: 'balanced' | 'lean' = 'balanced') =>
  Upscaler.load(writeNetwork(folder, name), { backend: 'cpu', threads: 2, memory });

/** Fraction of bytes that are neither 0 nor 255, which clamping would make equal. */
const inside = ({ data }: { readonly data: Uint8Array }) =>
  data.filter((value) => value > 0 && value < 255).length / data.length;

test.each([
  ['compact', 9, 24],
  ['esrgan', 69, 90],
  ['esrgan-x2', 79, 96],
  ['esrgan-grey', 39, 60],
])(
  '%s in tiles that overlap by its receptive field equals one piece within 1 of 255',
  async (name, field, tile) => {
    await using upscaler = await load(name);
    expect(upscaler.info.receptiveField).toBe(field);
    const image = testImage(tile * 2 - 5, tile + 12);
    const whole = await upscaler.upscale(image, { tile: 0 });
    expect(inside(whole)).toBeGreaterThan(0.2);
    let tiles = 0;
    const tiled = await upscaler.upscale(image, {
      tile,
      overlap: field,
      onProgress: ({ steps }) => (tiles = steps),
    });
    expect(tiles).toBeGreaterThan(3);
    expect(largestDifference(tiled, whole)).toBeLessThanOrEqual(1);
    // The edges of tiles that do not overlap show.
    const apart = await upscaler.upscale(image, { tile, overlap: 0 });
    expect(largestDifference(apart, whole)).toBeGreaterThan(5);
  },
);

test.each([
  ['swinir', 4],
  ['dat', 4],
])(
  '%s keeps its windows in tiles, which differ little from one piece where tiles overlap',
  async (name, window) => {
    await using upscaler = await load(name);
    expect(upscaler.info.receptiveField).toBeNull();
    const image = testImage(70, 41);
    const whole = await upscaler.upscale(image, { tile: 0 });
    const off = async (overlap: number) => {
      const tiled = await upscaler.upscale(image, { tile: 32 + window / 2, overlap });
      expect([tiled.width, tiled.height]).toEqual([whole.width, whole.height]);
      return (
        tiled.data.reduce((sum, value, i) => sum + Math.abs(value - whole.data[i]!), 0) / whole.data.length
      );
    };
    const [apart, overlapping] = [await off(0), await off(16)];
    expect(overlapping).toBeLessThan(apart);
  },
);

test('tiles with the default overlap of 32 pixels have no seam', async () => {
  await using upscaler = await load('esrgan');
  const image = testImage(150, 40);
  const whole = await upscaler.upscale(image, { tile: 0 });
  // The largest step between neighboring pixels that tiling adds.
  const step = async (options: { readonly overlap?: number }) => {
    const { data } = await upscaler.upscale(image, { tile: 80, ...options });
    const off = data.map((value, i) => 128 + value - whole.data[i]!);
    let largest = 0;
    for (let i = 3; i < off.length; i++)
      if (i % (3 * whole.width) >= 3) largest = Math.max(largest, Math.abs(off[i]! - off[i - 3]!));
    return largest;
  };
  const [usual, chosen, none] = [await step({}), await step({ overlap: 32 }), await step({ overlap: 0 })];
  expect(usual).toBe(chosen);
  expect(usual).toBeLessThanOrEqual(2);
  expect(none).toBeGreaterThan(20);
});

test('the memory of the network is that of a tile, whatever the size of the image', async () => {
  await using small = await load('compact');
  await small.upscale(testImage(64, 64), { tile: 64 });
  await using large = await load('compact');
  await large.upscale(testImage(260, 190), { tile: 64 });
  expect(large.memory().compute).toBeLessThanOrEqual(small.memory().compute);
});

test('images of 192 pixels are upscaled in one piece by default, larger ones in tiles, with lean memory from 96 on', async () => {
  const tiles = async (memory: 'balanced' | 'lean', side: number) => {
    await using upscaler = await load('compact-x1', memory);
    let count = 0;
    await upscaler.upscale(testImage(side, 20), { onProgress: ({ steps }) => (count = steps) });
    return count;
  };
  expect(await tiles('balanced', 192)).toBe(1);
  expect(await tiles('balanced', 193)).toBe(2);
  expect(await tiles('lean', 96)).toBe(1);
  expect(await tiles('lean', 97)).toBe(2);
});

test('reports every tile of every pass', async () => {
  await using upscaler = await load('compact-grey');
  const seen: number[][] = [];
  // Three colors, two tiles each.
  await upscaler.upscale(testImage(30, 16), {
    tile: 20,
    overlap: 9,
    onProgress: ({ phase, step, steps }) => {
      expect(phase).toBe('upscale');
      seen.push([step, steps]);
    },
  });
  expect(seen).toEqual([1, 2, 3, 4, 5, 6].map((step) => [step, 6]));
});
