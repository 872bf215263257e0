import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseParameters } from '../../../lib/image/parameters.js';
import { readPngText } from '../../../lib/image/png.js';
import { readImage } from '../../../lib/image/read.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import type { Progress } from '../../../lib/pipelines/progress.js';
import type { RgbImage } from '../../../lib/tensor/render.js';
import { Tensor } from '../../../lib/tensor/tensor.js';

/** One thread, so that other load on the machine's cores does not change what is computed. */
let pipeline: Pipeline;
let folder: string;
beforeAll(async () => {
  pipeline = await Pipeline.load(undefined, { threads: 1 });
  folder = await mkdtemp(join(tmpdir(), 'safelight-starter-'));
});
afterAll(async () => {
  await pipeline.dispose();
  await rm(folder, { recursive: true });
});

const APPLE: GenerateOptions = { prompt: 'a red apple', seed: 7, steps: 3, width: 64, height: 64 };
const one = async (options: Partial<GenerateOptions> = {}) =>
  (await pipeline.generate({ ...APPLE, ...options })).images[0]!;

/** Returns the mean color of a box. */
function colour(
  image: RgbImage,
  left: number,
  top: number,
  right: number,
  bottom: number,
): [number, number, number] {
  const sum: [number, number, number] = [0, 0, 0];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++)
      for (let c = 0; c < 3; c++) sum[c]! += image.data[(y * image.width + x) * 3 + c]!;
  }
  return sum.map((v) => v / ((right - left) * (bottom - top))) as [number, number, number];
}

/** Returns the mean difference of the bytes. */
function distance(a: RgbImage, b: RgbImage): number {
  return a.data.reduce((sum, v, i) => sum + Math.abs(v - b.data[i]!), 0) / a.data.length;
}

describe('the starter model', () => {
  it('reports its info and generates a red apple', async () => {
    expect(pipeline.info).toMatchObject({
      name: 'starter',
      prediction: 'v',
      width: 128,
      height: 128,
      factor: 8,
    });
    const { images, seed, seconds } = await pipeline.generate({ prompt: 'a red apple', seed: 1, steps: 8 });
    const [image] = images as [(typeof images)[0]];
    expect([images.length, seed, image.seed, image.width, image.height]).toEqual([1, 1, 1, 128, 128]);
    expect(seconds).toBeGreaterThan(0);
    const [r, g, b] = colour(image, 44, 50, 84, 100);
    expect(r).toBeGreaterThan(170);
    expect(Math.max(g, b)).toBeLessThan(90);
    for (const v of colour(image, 0, 0, 10, 10)) expect(v).toBeGreaterThan(225);
  });

  it('repeats an image exactly, and changes it for another seed, prompt, negative prompt or step count', async () => {
    const apple = await one();
    expect((await one()).data).toEqual(apple.data);
    for (const other of [
      { seed: 8 },
      { prompt: 'a green apple' },
      { negative: 'red' },
      { steps: 4 },
      { cfg: 1 },
    ]) {
      expect((await one(other)).data).not.toEqual(apple.data);
    }
  });

  it('generates each image of a batch as it does alone', async () => {
    const options = { sampler: 'euler_a', count: 3, batch: 2 };
    const { images } = await pipeline.generate({ ...APPLE, ...options });
    expect(images.map(({ seed }) => seed)).toEqual([7, 8, 9]);
    for (const [i, image] of images.entries()) {
      const alone = await one({ ...options, count: 1, seed: 7 + i });
      const furthest = image.data.reduce((most, v, k) => Math.max(most, Math.abs(v - alone.data[k]!)), 0);
      expect(furthest).toBeLessThanOrEqual(1);
    }
  });

  it('saves a PNG with its generation parameters and never overwrites a file by default', async () => {
    const image = await one({ negative: 'a worm: "big", green', clipSkip: 2, rng: 'cuda' });
    const files = await Promise.all([1, 2].map(() => image.save(join(folder, 'apple.png'))));
    expect((await readdir(folder)).sort()).toEqual(['apple-2.png', 'apple.png']);
    const png = await image.png();
    const { prompt, negative, fields } = parseParameters(readPngText(png).parameters!);
    expect([prompt, negative]).toEqual(['a red apple', 'a worm: "big", green']);
    expect(fields).toMatchObject({
      Steps: '3',
      Sampler: 'DPM++ 2M',
      'Schedule type': 'Karras',
      'CFG scale': '4',
    });
    expect(fields).toMatchObject({ Seed: '7', Size: '64x64', Model: 'starter', 'Clip skip': '2', RNG: 'NV' });
    expect([...(await readImage(files[0]!)).data]).toEqual([...image.data]);
    expect(readPngText(await image.png({ metadata: false }))).toEqual({});
    expect(await image.save(files[0]!, { overwrite: true })).toBe(files[0]);
  });

  it('reports progress with previews that resemble the image', async () => {
    const seen: Progress[] = [];
    const image = await one({ steps: 6, onProgress: (progress) => void seen.push(progress) });
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual(['encode', 'denoise', 'decode']);
    const denoise = seen.filter(({ phase }) => phase === 'denoise');
    expect(denoise.map(({ step, steps }) => `${step}/${steps}`)).toEqual([
      '0/6',
      '1/6',
      '2/6',
      '3/6',
      '4/6',
      '5/6',
      '6/6',
    ]);
    expect(seen.every(({ elapsed }, i) => elapsed >= (seen[i - 1]?.elapsed ?? 0))).toBe(true);
    const preview = await denoise.at(-1)!.preview!();
    expect([preview.width, preview.height]).toEqual([64, 64]);
    expect(distance(preview, image)).toBeLessThan(30);
  });
});

describe('image-to-image', () => {
  it('stays close to the image at low strength and departs from it at full strength, at its size on the grid', async () => {
    const apple = await one({ steps: 6 });
    const init = { data: apple.data, width: 64, height: 64 };
    const options = { prompt: 'a blue car', init, steps: 10 };
    const sized = { width: undefined, height: undefined } as unknown as GenerateOptions;
    const [weak, strong] = [
      await one({ ...options, ...sized, strength: 0.1 }),
      await one({ ...options, strength: 1 }),
    ];
    expect(distance(weak, apple)).toBeLessThan(15);
    expect(distance(strong, apple)).toBeGreaterThan(2 * distance(weak, apple));
    const ragged = { data: new Uint8Array(77 * 45 * 3).fill(200), width: 77, height: 45 };
    expect(await one({ ...sized, init: ragged, steps: 1 })).toMatchObject({ width: 72, height: 40 });
    await expect(
      one({ ...sized, init: { ...ragged, data: new Uint8Array(45 * 3), width: 1 } }),
    ).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });

  it('inpaints white areas of the mask and returns all other bytes unchanged', async () => {
    const { data } = await one({ steps: 6 });
    const init = { data, width: 64, height: 64 };
    const mask = { data: new Uint8Array(64 * 64), width: 64, height: 64 };
    for (let y = 0; y < 32; y++) mask.data.fill(255, y * 64, y * 64 + 64);
    for (const fill of ['original', 'fill', 'noise', 'nothing'] as const) {
      const image = await one({ prompt: 'a blue car', init, mask, fill, strength: 1 });
      expect(image.data.subarray(44 * 64 * 3)).toEqual(data.subarray(44 * 64 * 3));
      expect(image.data.subarray(0, 20 * 64 * 3)).not.toEqual(data.subarray(0, 20 * 64 * 3));
    }
  });

  it('inpaints only the masked part at full size with onlyMasked', async () => {
    const init = { data: new Uint8Array(150 * 100 * 3).fill(255), width: 150, height: 100 };
    const mask = { data: new Uint8Array(150 * 100), width: 150, height: 100 };
    for (let y = 40; y < 60; y++) mask.data.fill(255, y * 150 + 20, y * 150 + 40);
    const image = await one({
      init,
      mask,
      onlyMasked: true,
      padding: 8,
      maskBlur: 0,
      fill: 'noise',
      strength: 1,
    });
    expect(image).toMatchObject({ width: 150, height: 100 });
    const box = colour(image, 20, 40, 40, 60);
    expect(Math.min(...box)).toBeLessThan(245);
    expect(colour(image, 50, 0, 150, 100)).toEqual([255, 255, 255]);
  });
});

describe('hires', () => {
  it.each(['latent', 'latent_bicubic', 'lanczos'] as const)(
    'generates the larger image with %s',
    async (upscaler) => {
      const passes: number[] = [];
      const stream = pipeline.stream({ ...APPLE, hires: { scale: 1.5, steps: 2, upscaler } });
      for await (const step of stream) passes.push(step.pass);
      const { images } = await stream.result;
      expect(passes).toEqual([1, 1, 1, 2, 2]);
      expect(images[0]).toMatchObject({ width: 96, height: 96 });
      expect(parseParameters(images[0]!.parameters).fields).toMatchObject({
        'Hires upscale': '1.5',
        'Hires steps': '2',
      });
    },
  );
});

describe('the stages', () => {
  it('return the same image as generate', async () => {
    const whole = await one({ negative: 'blurry' });
    const positive = await pipeline.encodeText('a red apple');
    const negative = await pipeline.encodeText('blurry', { negative: true });
    expect(positive.context.shape).toEqual([1, 32, 192]);
    const latent = await pipeline.denoise({ positive, negative, seed: 7, steps: 3, width: 64, height: 64 });
    expect(latent.data).toEqual(whole.latent.data);
    const [image] = await pipeline.decode(latent);
    expect(image!.data).toEqual(whole.data);
    expect([image!.seed, image!.parameters]).toEqual([undefined, '']);
  });

  it('tokenize with and without prompt syntax', async () => {
    const [weighted] = await pipeline.tokenize('a (red:1.5) apple');
    expect(weighted!.weights.filter((w) => w === 1.5)).toHaveLength(1);
    const [raw] = await pipeline.tokenize('a (red:1.5) apple', { raw: true });
    expect(raw!.weights.every((w) => w === 1)).toBe(true);
    expect(raw!.ids).toHaveLength(32);
  });

  it('encode an image to a latent that decodes to it', async () => {
    const apple = await one({ steps: 8 });
    const mean = await pipeline.encode(apple);
    expect(mean.shape).toEqual([1, 4, 8, 8]);
    const [again] = await pipeline.decode(mean);
    const distance =
      again!.data.reduce((sum, v, i) => sum + Math.abs(v - apple.data[i]!), 0) / apple.data.length;
    expect(distance).toBeLessThan(12);
    const [a, b, c] = await Promise.all(
      [1, 1, 2].map((seed) => pipeline.encode(apple, { posterior: 'sample', seed })),
    );
    expect(a!.data).toEqual(b!.data);
    expect(a!.data).not.toEqual(c!.data);
  });

  it('list the nodes that can be tapped, and read them', async () => {
    const nodes = await pipeline.nodes({ module: 'unet', width: 64, height: 64, batch: 2 });
    const probs = nodes.find(({ name }) => name.endsWith('attn2.probs'))!;
    const stream = pipeline.stream({ ...APPLE, steps: 1, taps: [probs.name] });
    for await (const { taps, conditions } of stream) {
      expect(conditions).toEqual(['negative', 'positive']);
      expect(taps[probs.name]!.shape).toEqual(probs.shape);
      const [, , , tokens = 0] = probs.shape;
      const row = taps[probs.name]!.data.subarray(0, tokens);
      expect(row.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 4);
    }
    expect((await pipeline.nodes({ module: 'decoder' })).length).toBeGreaterThan(10);
    expect((await pipeline.nodes({ module: 'text_encoder' })).length).toBeGreaterThan(10);
    await expect(pipeline.nodes({ module: 'text_encoder_2' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await expect(one({ taps: ['no.such.node'] })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('map the attention of a word', async () => {
    const [apple] = await pipeline.attentionMap({ ...APPLE, count: 1, word: 'apple' });
    expect(apple!.map.shape).toEqual([64, 64]);
    expect(apple!.map.stats()).toMatchObject({ min: 0, max: 1, nan: 0 });
    expect(apple!.overlay).toMatchObject({ width: 64, height: 64 });
    // With taps, attention is computed by other operations, so the last bits differ.
    expect(distance(apple!.image, await one())).toBeLessThan(0.5);
    await expect(pipeline.attentionMap({ ...APPLE, word: 'pear' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});

describe('stream', () => {
  it('yields every step, and continues from a modified latent', async () => {
    const plain = await one();
    const stream = pipeline.stream(APPLE);
    const sigmas: number[] = [];
    for await (const step of stream) {
      expect([step.latent.shape, step.x0.shape, step.seeds]).toEqual([[1, 4, 8, 8], [1, 4, 8, 8], [7]]);
      sigmas.push(step.sigma, step.sigmaNext);
      if (step.step === 0) step.latent.data.set(step.latent.data.map((v) => v * 0.9));
    }
    expect(sigmas[0]).toBeGreaterThan(14);
    expect([sigmas[1], sigmas[3], sigmas[5]]).toEqual([sigmas[2], sigmas[4], 0]);
    expect((await stream.result).images[0]!.data).not.toEqual(plain.data);
  });

  it('completes without a loop, and stops when the loop is left', async () => {
    expect((await pipeline.stream(APPLE).result).images).toHaveLength(1);
    const stream = pipeline.stream(APPLE);
    for await (const step of stream) if (step.step === 0) break;
    await expect(stream.result).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('rejects with NOT_FINITE as soon as a latent is not finite', async () => {
    const stream = pipeline.stream(APPLE);
    const steps: number[] = [];
    const run = async () => {
      for await (const { step, latent } of stream) {
        steps.push(step);
        if (step === 1) latent.data[5] = Number.NaN;
      }
    };
    await expect(run()).rejects.toMatchObject({ code: 'NOT_FINITE' });
    expect(steps).toEqual([0, 1]);
    await expect(stream.result).rejects.toMatchObject({ code: 'NOT_FINITE' });
    const broken = Tensor.from(new Float32Array(4 * 64).fill(Number.POSITIVE_INFINITY), [1, 4, 8, 8]);
    await expect(pipeline.decode(broken)).rejects.toMatchObject({ code: 'NOT_FINITE' });
    await expect(pipeline.decode(Tensor.zeros([1, 3, 8, 8]))).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
  });
});
