import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, describe, expect, it, test } from 'vitest';
import { cpuKernels, cpuProducts } from '../../lib/binding/backends.js';
import { starterModel } from '../../lib/checkpoint/open.js';
import { openModel } from '../../lib/families/registry.js';
import { parseParameters } from '../../lib/image/parameters.js';
import { UNet } from '../../lib/modules/unet.js';
import { restoreOptions } from '../../lib/options/infotext/restore.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../lib/pipelines/model/load-options.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import { relativeError } from '../support/pipeline-cases.js';
import { writeSingleFile } from '../support/tiny-models.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'safelight-precision-'));
const pipelines = new Map<string, Promise<Pipeline>>();

function load(options: LoadPipelineOptions): Promise<Pipeline> {
  const key = JSON.stringify(options);
  const pipeline = pipelines.get(key) ?? Pipeline.load(undefined, options);
  pipelines.set(key, pipeline);
  return pipeline;
}

afterAll(async () => {
  for (const pipeline of pipelines.values()) await (await pipeline).dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function imageOf(options: LoadPipelineOptions, prompt = 'a red apple', seed = 3) {
  const { images } = await (await load(options)).generate({ prompt, seed, steps: 12 });
  return images[0]!;
}

function unetInputs(width: number) {
  return {
    sample: Tensor.from(
      Float32Array.from({ length: 4 * 16 * 16 }, (_, i) => Math.sin(i * 12.9898)),
      [1, 4, 16, 16],
    ),
    timestep: Tensor.from(Float32Array.of(500), [1]),
    context: Tensor.zeros([1, 32, width]),
  };
}

const meanDifference = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;

describe.each([
  ['bf16', 1.5],
  ['int8', 4],
] as const)('precision %s', (reduced, bound) => {
  it(`changes images by at most ${bound} of 255 on average`, async () => {
    const differences: number[] = [];
    for (const [i, prompt] of [
      'a red apple',
      'a blue house',
      'a green tree at night',
      'a yellow star',
    ].entries()) {
      const [exact, fast] = [
        await imageOf({ precision: 'f32' }, prompt, i),
        await imageOf({ precision: reduced }, prompt, i),
      ];
      differences.push(meanDifference(exact.data, fast.data));
    }
    const mean = differences.reduce((a, b) => a + b) / differences.length;
    expect(mean).toBeLessThan(bound);
    expect(mean).toBeGreaterThan(0.02);
  });

  it('applies to weights of any storage type and to all memory modes, with any number of threads', async () => {
    const expected = (await imageOf({ precision: reduced, threads: 1 })).data;
    expect((await imageOf({ precision: reduced, threads: 3 })).data).toEqual(expected);
    expect((await imageOf({ precision: reduced, memory: 'fast' })).data).toEqual(expected);
    // With `lean`, each guidance branch is a run. A last digit that differs in the time embedding, which sums in another
    // order for a batch of two, changes some roundings of the next layer, and so on.
    const lean = (await imageOf({ precision: reduced, memory: 'lean' })).data;
    expect(meanDifference(lean, expected)).toBeLessThan(bound / 2);
    for (const storage of ['f32', 'f16', 'bf16', 'q8_0'] as const) {
      const [exact, fast] = [
        await imageOf({ precision: 'f32', storage }),
        await imageOf({ precision: reduced, storage }),
      ];
      expect(meanDifference(exact.data, fast.data)).toBeLessThan(bound + 4);
      expect(fast.data).not.toEqual(exact.data);
    }
  });

  it('is stated by the pipeline and in the image, and f32 is not', async () => {
    const pipeline = await load({ precision: reduced });
    const { precision, products } = pipeline.info;
    expect([precision, products]).toEqual([reduced, reduced]);
    const { parameters } = await imageOf({ precision: reduced });
    expect(parseParameters(parameters).fields).toMatchObject({ Precision: reduced });
    expect(restoreOptions(parameters).unrestored).toEqual([]);
    expect((await imageOf({ precision: 'f32' })).parameters).not.toContain('Precision');
    expect((await load({ precision: 'f32' })).info.products).toBe('f32');
  });

  it('has no effect on stock operations', async () => {
    const stock = await load({ precision: reduced, stockOps: true });
    expect(stock.info).toMatchObject({ precision: reduced, products: 'f32' });
    expect((await imageOf({ precision: reduced, stockOps: true })).data).toEqual(
      (await imageOf({ precision: 'f32', stockOps: true })).data,
    );
  });

  it('gives the same result whether weights are packed once or in each run', async () => {
    const source = await openModel(starterModel);
    const inputs = unetInputs(source.unet.config.cross_attention_dim);
    await using once = await UNet.load(source.unet, { precision: reduced });
    await using each = await UNet.load(source.unet, { precision: reduced, memory: 'lean' });
    const [a, b] = [(await once.forward(inputs)).sample, (await each.forward(inputs)).sample];
    expect(b.data).toEqual(a.data);
    expect(each.memory().weights).toBeLessThan(0.5 * once.memory().weights);
  });

  it('reads its weights again for runs with taps, and returns to its products after them', async () => {
    const source = await openModel(starterModel);
    const inputs = unetInputs(source.unet.config.cross_attention_dim);
    await using exact = await UNet.load(source.unet);
    await using fast = await UNet.load(source.unet, { precision: reduced });
    const loaded = fast.memory().weights;
    const first = await fast.forward(inputs);
    const packed = fast.memory().weights;
    expect(packed).toBeLessThan(1.1 * loaded);
    const taps = ['mid_block'];
    const tapped = await fast.forward(inputs, { taps });
    expect(fast.memory().weights).toBeGreaterThan(1.4 * packed);
    const expected = await exact.forward(inputs, { taps });
    expect(relativeError(tapped.taps.mid_block!.data, expected.taps.mid_block!.data)).toBe(0);
    expect((await fast.forward(inputs)).sample.data).toEqual(first.sample.data);
    expect(fast.memory().weights).toBe(packed);
    // Weights that were needed twice stay.
    await fast.forward(inputs, { taps });
    await fast.forward(inputs);
    expect(fast.memory().weights).toBeGreaterThan(1.4 * packed);
  });

  it('rejects a run with taps if the model file was replaced', async () => {
    const path = join(folder, `replaced-${reduced}.safetensors`);
    const { unet } = await openModel(writeSingleFile('sd1', path));
    const inputs = unetInputs(unet.config.cross_attention_dim);
    await using module = await UNet.load(unet, { precision: reduced });
    const first = await module.forward(inputs);
    writeFileSync(`${path}.new`, readFileSync(path));
    renameSync(`${path}.new`, path);
    await expect(module.forward(inputs, { taps: ['mid_block'] })).rejects.toMatchObject({
      code: 'INVALID_FILE',
    });
    expect((await module.forward(inputs)).sample.data).toEqual(first.sample.data);
  });

  it('is the same with units for it and without, up to the order of sums', async () => {
    const [native, portable] = [
      await generateWith(cpuKernels()!, reduced),
      await generateWith('portable', reduced),
    ];
    for (const { report } of [native, portable])
      expect(report).toMatchObject({ precision: reduced, products: reduced });
    // A sum in another order moves some activations to the next int8 number: 1.04 between AVX2 and portable.
    expect(meanDifference(native.pixels, portable.pixels)).toBeLessThan(reduced === 'int8' ? 2 : 1);
  });
});

describe('precision', () => {
  it('auto selects bf16 on processors with units for it', async () => {
    const products = cpuProducts().includes('bf16') ? 'bf16' : 'f32';
    expect((await load({ precision: 'auto' })).info).toMatchObject({ precision: 'auto', products });
    const chosen = await imageOf({ precision: 'auto' });
    expect(chosen.data).toEqual((await imageOf({ precision: products })).data);
    expect(parseParameters(chosen.parameters).fields.Precision).toBe(
      products === 'bf16' ? 'bf16' : undefined,
    );
    const stock = await load({ precision: 'auto', stockOps: true });
    expect(stock.info.products).toBe('f32');
  });

  it('rejects other formats', async () => {
    for (const precision of ['f16', 'int4', 16])
      await expect(Pipeline.load(undefined, { precision } as never)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      });
  });
});

test('rounds the products of a U-Net, but not its first and last convolution and its time embedding', async () => {
  const source = await openModel(starterModel);
  const inputs = unetInputs(source.unet.config.cross_attention_dim);
  await using exact = await UNet.load(source.unet, { storage: 'f32' });
  await using fast = await UNet.load(source.unet, { storage: 'f32', precision: 'bf16' });
  const [a, b] = [(await exact.forward(inputs)).sample, (await fast.forward(inputs)).sample];
  const error = relativeError(b.data, a.data);
  expect(error).toBeGreaterThan(1e-4);
  expect(error).toBeLessThan(0.05);
});

/** Runs the CLI with the kernels of an instruction set. Returns its report and the pixels of the image. */
async function generateWith(isa: string, precision: string): Promise<{ report: object; pixels: Buffer }> {
  const file = join(folder, `${isa}-${precision}.png`);
  const options = ['--seed', '3', '--steps', '6', '--precision', precision, '-o', file, '--json', '-q'];
  const out = execFileSync(process.execPath, [MAIN, 'generate', 'a red apple', ...options], {
    env: { ...process.env, SAFELIGHT_ISA: isa },
    encoding: 'utf8',
  });
  return { report: JSON.parse(out), pixels: await sharp(readFileSync(file)).raw().toBuffer() };
}

test('auto selects f32 without units for bf16', async () => {
  const { report } = await generateWith('portable', 'auto');
  expect(report).toMatchObject({ precision: 'auto', products: 'f32' });
});
