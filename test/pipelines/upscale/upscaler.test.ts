/** The upscaler: sizes, colors, alpha, files, cancelling and failures. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { readImage } from '../../../lib/image/read.js';
import { resample } from '../../../lib/image/resample.js';
import { Upscaler } from '../../../lib/pipelines/upscale/upscaler.js';
import { writeSafetensors } from '../../support/tiny-models.js';
import { writeTorch } from '../../support/torch/checkpoint.js';
import { largestDifference, testImage } from '../../support/upscale/images.js';
import { reference, weightsOf, writeNetwork } from '../../support/upscale/networks.js';
import { scratch } from '../../support/vqgan/autoencoders.js';

const folder = scratch();
const options = { backend: 'cpu', threads: 2 } as const;
const load = (name: string) => Upscaler.load(writeNetwork(folder, name), options);

test('returns the pixels of the reference', async () => {
  await using upscaler = await load('compact');
  const { data, shape } = await reference('compact', 'image');
  const [, , height = 0, width = 0] = shape;
  const rgb = Uint8Array.from({ length: data.length }, (_, i) =>
    Math.round(data[(i % 3) * width * height + Math.floor(i / 3)]! * 256),
  );
  const { data: bytes, ...size } = await upscaler.upscale({ data: rgb, width, height, channels: 3 });
  expect(size).toMatchObject({ width: 4 * width, height: 4 * height, channels: 3 });
  const expected = await reference('compact', 'output');
  const plane = 16 * width * height;
  // The reference divides bytes by 256, which changes values slightly.
  const off = bytes.map((value, i) =>
    Math.abs(value - Math.max(0, Math.min(255, 255 * expected.data[(i % 3) * plane + Math.floor(i / 3)]!))),
  );
  expect(off.reduce((a, b) => a + b) / off.length).toBeLessThan(2);
});

test('describes the model', async () => {
  await using upscaler = await load('esrgan-plus');
  expect(upscaler.info).toEqual({
    path: join(folder, 'esrgan-plus.safetensors'),
    ...{ architecture: 'ESRGAN+', scale: 2, channels: 3, receptiveField: 39 },
  });
  expect(upscaler.memory()).toMatchObject({ backend: 'cpu' });
  expect(upscaler.warnings).toEqual([]);
});

test('resizes the result of the model with Lanczos for another scale', async () => {
  await using upscaler = await load('compact');
  const image = testImage(21, 10);
  const whole = await upscaler.upscale(image);
  for (const scale of [2.5, 0.5, 5]) {
    const width = Math.round(21 * scale);
    const height = Math.round(10 * scale);
    const expected = await resample(whole, width, height, 'lanczos');
    const scaled = await upscaler.upscale(image, { scale });
    expect([scaled.width, scaled.height]).toEqual([width, height]);
    expect(scaled.data).toEqual(expected.data);
  }
});

test('pads sides that are no multiple of the rearranged squares and crops the result', async () => {
  await using upscaler = await load('esrgan-x2');
  const { width, height } = await upscaler.upscale(testImage(17, 9));
  expect([width, height]).toEqual([34, 18]);
  const single = await upscaler.upscale(testImage(1, 1));
  expect([single.width, single.height]).toEqual([2, 2]);
});

describe('alpha', () => {
  test('is kept out of the colors and upscaled as a grey image', async () => {
    await using upscaler = await load('compact');
    const rgba = testImage(20, 12, 4);
    const rgb = testImage(20, 12, 3, (x, y, c) => rgba.data[(y * 20 + x) * 4 + c]!);
    const alpha = testImage(20, 12, 3, (x, y) => rgba.data[(y * 20 + x) * 4 + 3]!);
    const result = await upscaler.upscale(rgba);
    expect(result.channels).toBe(4);
    const colors = await upscaler.upscale(rgb);
    expect(colors.channels).toBe(3);
    expect(result.data.filter((_, i) => i % 4 !== 3)).toEqual(colors.data);
    const { data: grey } = await upscaler.upscale(alpha);
    for (let i = 0; i < grey.length / 3; i++) {
      const channels = [grey[3 * i]!, grey[3 * i + 1]!, grey[3 * i + 2]!];
      const found = result.data[4 * i + 3]!;
      // The mean of the network's channels, which are clamped only afterwards.
      if (Math.min(...channels) > 0 && Math.max(...channels) < 255)
        expect(Math.abs(found - channels.reduce((a, b) => a + b) / 3)).toBeLessThanOrEqual(1);
    }
  });

  test('of one value takes no pass of the network', async () => {
    await using upscaler = await load('compact');
    let steps = 0;
    const image = testImage(9, 8, 4, (_x, _y, c, usual) => (c === 3 ? 128 : usual));
    const { data, channels } = await upscaler.upscale(image, {
      onProgress: (report) => (steps = report.steps),
    });
    expect(channels).toBe(4);
    expect(data.filter((_, i) => i % 4 === 3).every((value) => value === 128)).toBe(true);
    expect(steps).toBe(1);
  });
});

describe('models for grey images', () => {
  test('upscale each color by itself', async () => {
    await using upscaler = await load('compact-grey');
    const image = testImage(14, 9);
    const { data } = await upscaler.upscale(image);
    for (const channel of [0, 1, 2]) {
      const grey = testImage(14, 9, 1, (x, y) => image.data[(y * 14 + x) * 3 + channel]!);
      const single = await upscaler.upscale(grey);
      expect(data.filter((_, i) => i % 3 === channel)).toEqual(single.data.filter((_, i) => i % 3 === 0));
    }
  });

  test('upscale grey images once', async () => {
    await using upscaler = await load('compact-grey');
    let steps = 0;
    await upscaler.upscale(testImage(9, 8, 1), { onProgress: (report) => (steps = report.steps) });
    expect(steps).toBe(1);
  });
});

describe('files', () => {
  test('are read and written, with alpha in PNG and WebP and on white in JPEG', async () => {
    await using upscaler = await load('compact-x1');
    const image = testImage(18, 11, 4);
    const path = join(folder, 'image.png');
    writeFileSync(
      path,
      await sharp(image.data, { raw: { width: 18, height: 11, channels: 4 } })
        .png()
        .toBuffer(),
    );
    const result = await upscaler.upscale(path);
    expect(largestDifference(result, await upscaler.upscale(image))).toBe(0);
    const png = await result.save(join(folder, 'result.png'));
    expect((await readImage(png, { alpha: 'keep' })).data).toEqual(result.data);
    expect(readFileSync(png)).toEqual(Buffer.from(await result.png()));
    const webp = await sharp(await result.save(join(folder, 'result.webp'))).metadata();
    expect(webp).toMatchObject({ format: 'webp', hasAlpha: true });
    const jpeg = await sharp(await result.save(join(folder, 'result.jpg'), { quality: 80 })).metadata();
    expect(jpeg).toMatchObject({ format: 'jpeg', channels: 3 });
    expect(await result.save(png)).toBe(join(folder, 'result-2.png'));
    expect(await result.save(png, { overwrite: true })).toBe(png);
    await expect(result.save(join(folder, 'result.bmp'))).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  test.each(['', 'module.', 'netG.', 'params_ema.', 'params.', 'state_dict.netG.'])(
    'of models may prefix all names with "%s"',
    async (prefix) => {
      const path = join(folder, 'prefixed.safetensors');
      writeSafetensors(path, weightsOf('esrgan', prefix));
      await using upscaler = await Upscaler.load(path, options);
      expect(upscaler.info.scale).toBe(4);
    },
  );

  test('of models in PyTorch’s format give the same, and their moving averages are preferred', async () => {
    const image = testImage(12, 9);
    await using plain = await load('compact');
    const expected = await plain.upscale(image);
    const others = [...weightsOf('compact', 'params.')].map(
      ([name, tensor]) => [name, { ...tensor, data: new Uint8Array(tensor.data.length) }] as const,
    );
    const path = join(folder, 'model.pth');
    writeTorch(path, new Map([...others, ...weightsOf('compact', 'params_ema.')]));
    await using torch = await Upscaler.load(path, options);
    expect((await torch.upscale(image)).data).toEqual(expected.data);
  });
});

test('stops within a tile when it is cancelled, and computes the same afterwards', async () => {
  await using upscaler = await load('esrgan');
  const image = testImage(256, 256);
  const expected = await upscaler.upscale(testImage(20, 16));
  const controller = new AbortController();
  const finished: number[] = [];
  const onProgress = ({ step }: { step: number }) => finished.push(step);
  const running = upscaler.upscale(image, { signal: controller.signal, tile: 0, onProgress });
  setTimeout(() => controller.abort(), 20);
  await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
  expect(finished).not.toContain(1);
  expect((await upscaler.upscale(testImage(20, 16))).data).toEqual(expected.data);
  await upscaler.upscale(testImage(20, 16), { tile: 0, onProgress });
  expect(finished).toContain(1);
});

test('rejects calls after it is disposed, and pending ones', async () => {
  const upscaler = await load('esrgan');
  const running = upscaler.upscale(testImage(128, 128));
  await new Promise((resolve) => setTimeout(resolve, 20));
  await upscaler.dispose();
  await upscaler.dispose();
  await expect(running).rejects.toMatchObject({ code: 'DISPOSED' });
  await expect(upscaler.upscale(testImage(8, 8))).rejects.toMatchObject({ code: 'DISPOSED' });
});
