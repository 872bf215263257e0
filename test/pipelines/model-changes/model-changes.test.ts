import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import sharp from 'sharp';
import { describe, expect, it, test } from 'vitest';
import type { AutoencoderSource } from '../../../lib/checkpoint/model-descriptor.js';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { addGenerateOptions, toGenerateOptions } from '../../../lib/cli/generate-options.js';
import { openModel } from '../../../lib/families/registry.js';
import { Autoencoder } from '../../../lib/modules/autoencoder.js';
import { restoreOptions } from '../../../lib/options/infotext/restore.js';
import type { GenerateOptions } from '../../../lib/pipelines/options.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { readLatent, relativeError } from '../../support/pipeline-cases.js';
import { readJson, type TinyModel } from '../../support/tiny-models.js';
import { latentOf, tinyPipelines } from '../../support/tiny-pipelines.js';

interface Case {
  readonly name: string;
  readonly model: TinyModel;
  readonly options: GenerateOptions;
}

const FIXTURES = fileURLToPath(new URL('../../fixtures/model-changes/', import.meta.url));
const cases = readJson<Case[]>(join(FIXTURES, 'cases.json'));
const pipelineFor = tinyPipelines();

const SMALL: GenerateOptions = {
  prompt: 'a red apple',
  negative: 'blurry',
  seed: 3,
  width: 32,
  height: 32,
  steps: 4,
};

describe('changes of the U-Net against diffusers and tomesd', () => {
  it.each(cases.map((one) => [one.name, one] as const))('match for %s', async (name, { model, options }) => {
    const latent = await latentOf(await pipelineFor(model), options);
    expect(relativeError(latent, readLatent(join(FIXTURES, `${name}.npy`)).data)).toBeLessThan(1e-3);
  });

  const small = cases.filter(({ name }) => /^(freeu-sd2|merging-sd2|pag-sd2|sag-sd2|tiling-sdxl)/.test(name));
  it.each(small.map((one) => [one.name, one] as const))(
    'match with ggml’s own operations for %s',
    async (name, { model, options }) => {
      const latent = await latentOf(await pipelineFor(model, { stockOps: true }), options);
      expect(relativeError(latent, readLatent(join(FIXTURES, `${name}.npy`)).data)).toBeLessThan(1e-3);
    },
  );
});

describe('images with tiling', () => {
  const tiled = cases.filter(({ name }) => name.startsWith('tiling'));

  it.each(tiled.map((one) => [one.name, one] as const))(
    'are decoded as by diffusers for %s',
    async (name, { model, options }) => {
      const { images } = await (await pipelineFor(model)).generate(options);
      const expected = await sharp(readFileSync(join(FIXTURES, `${name}.png`)))
        .raw()
        .toBuffer();
      expect(
        Math.max(...images[0]!.data.map((value, i) => Math.abs(value - expected[i]!))),
      ).toBeLessThanOrEqual(1);
    },
  );

  /** Moves a tensor `[..., H, W]` down and to the right; what leaves at an edge returns at the opposite one. */
  function rolled(tensor: Tensor, rows: number, columns: number): Tensor {
    const [height = 0, width = 0] = tensor.shape.slice(-2);
    const at = (i: number, by: number, size: number): number => (i - by + size) % size;
    const data = tensor.data.map((_, i) => {
      const [x, y, plane] = [i % width, Math.floor(i / width) % height, Math.floor(i / (width * height))];
      return tensor.data[(plane * height + at(y, rows, height)) * width + at(x, columns, width)]!;
    });
    return Tensor.from(data, tensor.shape);
  }

  test('wrap around the edges, also when they are encoded and decoded in tiles', async () => {
    const { autoencoder } = await openModel(starterModel);
    await using codec = await Autoencoder.load(autoencoder as AutoencoderSource, { storage: 'f32' });
    const [height, width] = [96, 144];
    const image = Tensor.from(
      Float32Array.from({ length: 3 * height * width }, (_, i) => {
        const [x, y] = [i % width, Math.floor(i / width) % height];
        return 0.6 * Math.sin((x / width) * 2 * Math.PI + 1) * Math.cos((y / height) * 2 * Math.PI);
      }),
      [1, 3, height, width],
    );
    const latent = (await codec.encode(image, { seamless: true })).slice(null, [0, 4]);
    const whole = await codec.decode(latent, { seamless: true });
    const scale = codec.downsampleFactor;
    const moved = await codec.decode(rolled(latent, 5, 7), { seamless: true });
    expect(relativeError(rolled(moved, -5 * scale, -7 * scale).data, whole.data)).toBeLessThan(1e-4);

    /** Mean difference between the last and the first column. */
    const seam = ({ data }: Tensor): number => {
      const rows = data.length / width;
      const jumps = Array.from({ length: rows }, (_, y) =>
        Math.abs(data[y * width]! - data[y * width + width - 1]!),
      );
      return jumps.reduce((a, b) => a + b) / rows;
    };
    const [inTiles, cut] = [
      await codec.decode(latent, { seamless: true, tile: 64 }),
      await codec.decode(latent, { tile: 64 }),
    ];
    expect(seam(inTiles)).toBeLessThan(1.5 * seam(whole));
    expect(seam(cut)).toBeGreaterThan(2 * seam(inTiles));
    const encoded = await codec.encode(image, { seamless: true, tile: 64 });
    expect(encoded.shape).toEqual([1, 8, height / scale, width / scale]);
  });
});

describe('changes of the U-Net', () => {
  const changes: readonly GenerateOptions[] = [
    { freeU: [1.2, 1.4, 0.9, 0.2] },
    { pag: 3 },
    { sag: 1 },
    { tokenMerging: 0.5 },
    { tiling: true },
  ];

  test('give the same with sequential guidance as with all branches in one batch', async () => {
    for (const change of changes) {
      const options = { ...SMALL, ...change, count: 2, sampler: 'dpmpp_2m_sde' };
      const together = await latentOf(await pipelineFor('sd1'), options);
      const alone = await latentOf(await pipelineFor('sd1', { memory: 'lean' }), options);
      expect(relativeError(alone, together)).toBeLessThan(1e-4);
    }
  });

  test('apply to both passes of hires fix and to images from images', async () => {
    const pipeline = await pipelineFor('sd1');
    const init = { data: new Uint8Array(32 * 32 * 3).fill(90), width: 32, height: 32, channels: 3 };
    for (const more of [{ hires: { scale: 1.5, strength: 0.5 } }, { init, strength: 0.6 }]) {
      const plain = await latentOf(pipeline, { ...SMALL, ...more } as GenerateOptions);
      for (const change of changes) {
        const changed = await latentOf(pipeline, { ...SMALL, ...more, ...change } as GenerateOptions);
        expect(relativeError(changed, plain)).toBeGreaterThan(1e-3);
      }
    }
  });

  test('are combined with each other, with step caching and with a guidance interval', async () => {
    const pipeline = await pipelineFor('sd1');
    const all = Object.assign({}, ...changes, { guidanceInterval: [0.5, 5] });
    const { sag: _, ...others } = all;
    for (const options of [
      all,
      { ...others, deepCache: { interval: 2 } },
      { ...others, stepCache: 'tgate' },
    ]) {
      const { images } = await pipeline.generate({ ...SMALL, ...options });
      expect(images[0]!.latent.data.every(Number.isFinite)).toBe(true);
    }
  });

  test('have no effect where they are neutral', async () => {
    const pipeline = await pipelineFor('sd1');
    const plain = await latentOf(pipeline, SMALL);
    expect(relativeError(await latentOf(pipeline, { ...SMALL, freeU: [1, 1, 1, 1] }), plain)).toBeLessThan(
      1e-5,
    );
    for (const neutral of [{ pag: 0 }, { sag: 0 }, { tokenMerging: 0 }, { tiling: false }])
      expect(await latentOf(pipeline, { ...SMALL, ...neutral })).toEqual(plain);
  });

  test('are written into the image’s parameters and restored from them', async () => {
    const options = {
      freeU: [1.2, 1.4, 0.9, 0.2],
      pag: 3,
      sag: 0.5,
      tokenMerging: 0.4,
      tiling: true,
    } as const;
    const { images } = await (await pipelineFor('sd1')).generate({ ...SMALL, steps: 1, ...options });
    expect(images[0]!.parameters).toContain(
      'FreeU: 1.2 1.4 0.9 0.2, PAG scale: 3, SAG scale: 0.5, Token merging ratio: 0.4, Tiling: True',
    );
    expect(restoreOptions(images[0]!.parameters).options).toMatchObject(options);
  });

  test('are rejected with values out of range, and by models that do not support them', async () => {
    const pipeline = await pipelineFor('sd1');
    const wrong = [
      { freeU: [1, 1, 1] },
      { freeU: [1, 1, 1, -1] },
      { freeU: '1,1,1,1' },
      { pag: -1 },
      { sag: Number.NaN },
      { tokenMerging: 1 },
      { tiling: 'yes' },
    ];
    for (const options of wrong)
      await expect(pipeline.generate({ ...SMALL, ...options } as never)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      });
  });

  test('can be combined with taps, which do not contain the attention of self-attention guidance', async () => {
    const steps: string[][] = [];
    const pipeline = await pipelineFor('sd1');
    const stream = pipeline.stream({ ...SMALL, steps: 2, sag: 1, taps: ['mid_block'] });
    for await (const { taps } of stream) steps.push(Object.keys(taps));
    expect(steps).toEqual([['mid_block'], ['mid_block']]);
  });
});

test('are given on the command line', () => {
  const command = new Command();
  addGenerateOptions(command);
  const flags =
    '--freeu 1.1,1.2,0.9,0.2 --pag 3 --sag 0.75 --token-merging 0.5 --tiling --step-cache tgate --step-cache-strength 0.4';
  expect(toGenerateOptions('x', command.parse(flags.split(' '), { from: 'user' }).opts())).toMatchObject({
    ...{ freeU: [1.1, 1.2, 0.9, 0.2], pag: 3, sag: 0.75, tokenMerging: 0.5, tiling: true },
    ...{ stepCache: 'tgate', stepCacheStrength: 0.4 },
  });
});
