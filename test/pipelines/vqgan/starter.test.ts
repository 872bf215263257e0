import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SampleOptions } from '../../../lib/pipelines/vqgan/sample-options.js';
import { VqganPipeline } from '../../../lib/pipelines/vqgan/vqgan-pipeline.js';
import { ball, painted, ring } from '../../support/vqgan/drawings.js';

let pipeline: VqganPipeline;
beforeAll(async () => {
  pipeline = await VqganPipeline.load();
});
afterAll(() => pipeline.dispose());

const flat = (codes: readonly (readonly number[])[]): number[] => codes.flat();

describe('the bundled sketch model', () => {
  it('reports its info', () => {
    expect(pipeline.info).toMatchObject({
      factor: 8,
      vocabulary: 1024,
      condition: 'image',
      classes: null,
      size: 96,
      discriminator: true,
    });
  });

  it('reconstructs the content of an image', async () => {
    const { psnr, usage, codes, image, original } = await pipeline.reconstruct(ball(96));
    expect(psnr).toBeGreaterThan(18);
    expect([image.width, image.height]).toEqual([96, 96]);
    expect(original.data).toEqual(ball(96).data);
    expect([codes!.length, codes![0]!.length]).toEqual([12, 12]);
    expect(usage!.used).toBe(new Set(flat(codes!)).size);
    expect(usage!.perplexity).toBeGreaterThan(1);
    expect(usage!.perplexity).toBeLessThanOrEqual(usage!.used);
  });

  it('encodes an image to code indices and decodes them', async () => {
    const { codes } = await pipeline.codes(ball(96));
    const again = await pipeline.decodeCodes(codes);
    expect(again.data).toEqual((await pipeline.reconstruct(ball(96))).image.data);
  });

  it('crops to whole code indices, and resizes on request', async () => {
    const size = async (options: { width?: number; height?: number }) => {
      const { codes } = await pipeline.codes(ball(101, 70), options);
      return [codes[0]!.length * 8, codes.length * 8];
    };
    expect(await size({})).toEqual([96, 64]);
    expect(await size({ width: 48, height: 48 })).toEqual([48, 48]);
    expect(await size({ width: 48 })).toEqual([48, 32]);
  });

  it('resizes from the center', async () => {
    const wide = painted(192, 96, (x) => (x > 48 && x < 144 ? [200, 60, 60] : [0, 0, 255]));
    const { original } = await pipeline.codes(wide, { width: 96, height: 96 });
    expect([...original.data.subarray(0, 3)]).toEqual([200, 60, 60]);
  });

  it('samples after a sketch, reproducibly for a seed', async () => {
    const first = await pipeline.sketch(ring(96), { seed: 3 }).result;
    const again = await pipeline.sketch(ring(96), { seed: 3 }).result;
    const other = await pipeline.sketch(ring(96), { seed: 4 }).result;
    expect([first.image.width, first.image.height, first.seed]).toEqual([96, 96, 3]);
    expect(again.codes).toEqual(first.codes);
    expect(again.image.data).toEqual(first.image.data);
    expect(other.codes).not.toEqual(first.codes);
    expect((await pipeline.decodeCodes(first.codes)).data).toEqual(first.image.data);
  });

  it('follows the lines: paper stays white, and the shape gets color', async () => {
    const { image } = await pipeline.sketch(ring(96), { seed: 5, topK: 20 }).result;
    const mean = (x: number, y: number, side: number) => {
      let sum = 0;
      for (let i = 0; i < side * side; i++) {
        const at = ((y + Math.floor(i / side)) * 96 + x + (i % side)) * 3;
        sum += Math.min(image.data[at]!, image.data[at + 1]!, image.data[at + 2]!);
      }
      return sum / side ** 2;
    };
    expect(mean(0, 0, 10)).toBeGreaterThan(235);
    expect(mean(36, 36, 24)).toBeLessThan(225);
  });

  it('composites a transparent sketch on white', async () => {
    const { data } = ring(96);
    const rgba = new Uint8Array(96 * 96 * 4);
    for (let i = 0; i < 96 * 96; i++) rgba[i * 4 + 3] = 255 - data[i * 3]!;
    const ink = ring(96, 96, 0).data;
    const clear = await sharp(rgba, { raw: { width: 96, height: 96, channels: 4 } })
      .png()
      .toBuffer();
    const gray = await sharp(ink, { raw: { width: 96, height: 96, channels: 3 } })
      .grayscale()
      .png()
      .toBuffer();
    const of = async (image: Uint8Array) => (await pipeline.sketch(image, { seed: 1 }).result).condition!;
    const [a, b] = [await of(clear), await of(gray)];
    expect(Math.max(...a.data.map((value, i) => Math.abs(value - b.data[i]!)))).toBeLessThan(25);
  });

  it('samples from an empty sketch', async () => {
    const { codes, condition } = await pipeline.sample({ seed: 2 }).result;
    expect(flat(codes)).toHaveLength(144);
    expect(condition!.data.every((value) => value === 255)).toBe(true);
  });
});

describe('streamed code indices', () => {
  it('are yielded one by one with the incomplete image', async () => {
    const stream = pipeline.sketch(ring(96), { seed: 6 });
    let count = 0;
    for await (const step of stream) {
      count++;
      expect([step.done, step.total]).toEqual([count, 144]);
      expect([step.row, step.column]).toEqual([Math.floor((count - 1) / 12), (count - 1) % 12]);
      expect(step.codes.flat().filter((code) => code !== null)).toHaveLength(count);
      if (count !== 30) continue;
      const preview = await step.preview();
      const pixel = (row: number, column: number) => [
        ...preview.data.subarray((row * 8 * 96 + column * 8) * 3).subarray(0, 3),
      ];
      expect(pixel(11, 11)).toEqual([127, 127, 127]);
      expect(pixel(0, 0)).not.toEqual([127, 127, 127]);
    }
    expect(count).toBe(144);
    expect((await stream.result).codes.flat()).toHaveLength(144);
  });

  it('are reported as progress with the incomplete image', async () => {
    const seen: string[] = [];
    let look: (() => Promise<{ width: number }>) | undefined;
    await pipeline.sample({
      seed: 1,
      onProgress: ({ phase, step, steps, preview }) => {
        seen.push(phase);
        if (phase === 'codes') expect(steps).toBe(144);
        if (phase === 'codes' && step === 20) look = preview;
      },
    }).result;
    expect([...new Set(seen)]).toEqual(['encode', 'codes', 'decode']);
    expect(seen.filter((phase) => phase === 'codes')).toHaveLength(144);
    expect((await look!()).width).toBe(96);
  });

  it('stop at an index on finish', async () => {
    const controller = new AbortController();
    const stream = pipeline.sample({ seed: 1, signal: controller.signal });
    const run = (async () => {
      for await (const { done } of stream) if (done === 7) controller.abort(new Error('enough'));
    })();
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(stream.result).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('stop when the loop is left, and can be continued', async () => {
    const stream = pipeline.sample({ seed: 1 });
    for await (const { done } of stream) if (done === 3) break;
    await expect.poll(() => pipeline.memory().transformer!.sessions).toBe(0);
    await expect(stream.result).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await pipeline.sample({ seed: 1 }).result).codes).toHaveLength(12);
  });

  it('use a sliding window for larger images', async () => {
    const { image, codes } = await pipeline.sketch(ring(112, 96), { seed: 1, width: 112, height: 96 }).result;
    expect([image.width, image.height]).toEqual([112, 96]);
    expect([codes[0]!.length, codes.length]).toEqual([14, 12]);
  });

  it('can form smaller images', async () => {
    const { image } = await pipeline.sketch(ring(64), { seed: 1, width: 64, height: 48 }).result;
    expect([image.width, image.height]).toEqual([64, 48]);
  });

  it('replace given indices', async () => {
    const { codes: start } = await pipeline.codes(ball(96));
    const stream = pipeline.sketch(ring(96), { seed: 1, start, temperature: 0.5 });
    for await (const { done, codes } of stream) {
      if (done === 1) expect(codes.flat().slice(1)).toEqual(start.flat().slice(1));
    }
    expect((await stream.result).codes).not.toEqual(start);
  });
});

describe('invalid input', () => {
  const grid = (value: unknown) => [
    [1, 2],
    [3, value],
  ];
  it.each([
    ['a value that is not an array', 'codes'],
    ['an empty list', []],
    ['empty rows', [[], []]],
    ['rows of different lengths', [[1, 2], [3]]],
    ['an index beyond the codebook', grid(1024)],
    ['a negative index', grid(-1)],
    ['a fraction', grid(1.5)],
    ['a string', grid('1')],
    ['nothing', grid(null)],
    ['no number', grid(Number.NaN)],
    ['more than a picture may have', Array.from({ length: 2049 }, () => [0])],
  ])('is rejected as code indices: %s', async (_, codes) => {
    await expect(pipeline.decodeCodes(codes as number[][])).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it.each([
    ['topK', { topK: 0 }],
    ['topP', { topP: 1.5 }],
    ['topP', { topP: 0 }],
    ['temperature', { temperature: 0 }],
    ['seed', { seed: -2 }],
    ['width', { width: 100 }],
    ['height', { height: 0 }],
    ['steps', { steps: 3 }],
    ['class', { class: 3 }],
    ['start', { start: [[1, 2]], width: 96 }],
    ['codes[0][1]', { start: [[1, 1024]] }],
  ])('is rejected as %s of %j', (name, options) => {
    expect(() => pipeline.sample(options as SampleOptions)).toThrowError(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(name) }),
    );
  });

  it('is rejected if it is not an image', async () => {
    await expect(pipeline.codes(Buffer.from('no picture'))).rejects.toMatchObject({ code: 'INVALID_IMAGE' });
    await expect(pipeline.sketch('/no/such.png').result).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('is rejected after dispose', async () => {
    const gone = await VqganPipeline.load();
    await gone.dispose();
    await expect(gone.codes(ball(96))).rejects.toMatchObject({ code: 'DISPOSED' });
    expect(() => gone.sample()).toThrowError(expect.objectContaining({ code: 'DISPOSED' }));
  });
});
