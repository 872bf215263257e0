/**
 * Tensors from callers are checked against the model's shapes; messages contain the expected and the received
 * shape.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Encoding } from '../../../lib/conditioning/prompt-encoder.js';
import type { DenoiseOptions } from '../../../lib/pipelines/diffusion/denoise-stage.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { detachedTensor } from '../../support/malformed-values.js';
import { writeFolder } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-shapes-'));
let starter: Pipeline;
let sdxl: Pipeline;
let positive: Encoding;
let pooled: Encoding;
beforeAll(async () => {
  starter = await Pipeline.load(undefined, { threads: 1 });
  sdxl = await Pipeline.load(writeFolder('sdxl', join(root, 'sdxl')), { threads: 1 });
  positive = await starter.encodeText('a red apple');
  pooled = await sdxl.encodeText('a red apple');
});
afterAll(async () => {
  await starter.dispose();
  await sdxl.dispose();
  rmSync(root, { recursive: true, force: true });
});

const SIZE = { width: 64, height: 64, steps: 1, seed: 1 } as const;
const [WINDOW, WIDTH] = [32, 192];
const states = (...shape: number[]) => Tensor.zeros(shape);
const broken = (tensor: Tensor, value = Number.NaN) => {
  const copy = tensor.clone();
  copy.data[copy.size - 1] = value;
  return copy;
};

describe('denoise', () => {
  const refused: [string, () => Partial<DenoiseOptions>, string, RegExp][] = [
    [
      'another width',
      () => ({ positive: { context: states(1, WINDOW, 64) } }),
      'SHAPE_MISMATCH',
      /\[1, T, 192\] for positive\.context.*\[1, 32, 64\]/,
    ],
    [
      'a batch of contexts',
      () => ({ positive: { context: states(2, WINDOW, WIDTH) } }),
      'SHAPE_MISMATCH',
      /\[2, 32, 192\]/,
    ],
    [
      'two dimensions',
      () => ({ positive: { context: states(WINDOW, WIDTH) } }),
      'SHAPE_MISMATCH',
      /\[32, 192\]/,
    ],
    [
      'a context without tokens',
      () => ({ positive: { context: states(1, 0, WIDTH) } }),
      'SHAPE_MISMATCH',
      /\[1, 0, 192\]/,
    ],
    [
      'part of a window',
      () => ({ positive: { context: states(1, 31, WIDTH) } }),
      'SHAPE_MISMATCH',
      /\[1, 31, 192\] and \[1, 32, 192\]/,
    ],
    [
      'another number of windows',
      () => ({ positive: { ...positive, chunks: 2 } }),
      'SHAPE_MISMATCH',
      /64 tokens \(2 windows of 32\)/,
    ],
    [
      'half a window',
      () => ({ positive: { ...positive, chunks: 0.5 } }),
      'INVALID_OPTION',
      /positive\.chunks/,
    ],
    [
      'values that are not finite',
      () => ({ positive: { ...positive, context: broken(positive.context) } }),
      'NOT_FINITE',
      /positive\.context/,
    ],
    [
      'infinite values',
      () => ({ negative: { ...positive, context: broken(positive.context, Infinity) } }),
      'NOT_FINITE',
      /negative\.context/,
    ],
    [
      'another width of the negative context',
      () => ({ negative: { context: states(1, WINDOW, 191) } }),
      'SHAPE_MISMATCH',
      /negative\.context/,
    ],
    [
      'doubles',
      () =>
        ({
          positive: { context: new Tensor(new Float64Array(WINDOW * WIDTH), [1, WINDOW, WIDTH]) },
        }) as never,
      'SHAPE_MISMATCH',
      /f64/,
    ],
    [
      'a context with detached memory',
      () => ({ positive: { context: detachedTensor([1, WINDOW, WIDTH]) } }),
      'SHAPE_MISMATCH',
      /transferred/,
    ],
    [
      'a bare tensor',
      () => ({ positive: positive.context }) as never,
      'INVALID_OPTION',
      /encoding of encodeText/,
    ],
    ['a missing encoding', () => ({ positive: undefined }) as never, 'INVALID_OPTION', /positive/],
    [
      'a latent with other channels',
      () => ({ latent: states(1, 3, 8, 8) }),
      'SHAPE_MISMATCH',
      /\[1, 4, h, w\] for latent.*\[1, 3, 8, 8\]/,
    ],
    ['a latent without a batch', () => ({ latent: states(4, 8, 8) }), 'SHAPE_MISMATCH', /\[4, 8, 8\]/],
    [
      'a latent with another batch size',
      () => ({ latent: states(3, 4, 8, 8), count: 2 }),
      'SHAPE_MISMATCH',
      /\[1 or 2, 4, h, w\]/,
    ],
    ['an empty latent', () => ({ latent: states(1, 4, 0, 8) }), 'SHAPE_MISMATCH', /\[1, 4, 0, 8\]/],
    ['a latent of NaN', () => ({ latent: broken(states(1, 4, 8, 8)) }), 'NOT_FINITE', /latent/],
    [
      'a latent whose size differs from the requested one',
      () => ({ latent: states(1, 4, 16, 8) }),
      'INVALID_OPTION',
      /128 \(the latent's\)/,
    ],
    [
      'a latent beyond the maximum size',
      () => ({ latent: states(1, 4, 1, 4096), width: undefined, height: undefined }) as never,
      'INVALID_OPTION',
      /width/,
    ],
    ['a callback that is not a function', () => ({ onStep: {} }) as never, 'INVALID_OPTION', /onStep/],
  ];
  it.each(refused)('rejects %s', async (_name, options, code, message) => {
    await expect(starter.denoise({ positive, ...SIZE, ...options() })).rejects.toMatchObject({
      name: 'SafelightError',
      code,
      message: expect.stringMatching(message),
    });
  });

  it('rejects pooled text of another shape, or none, if the model requires it', async () => {
    const width = pooled.pooled!.shape[1]!;
    for (const other of [
      undefined,
      states(1, width + 1),
      states(2, width),
      states(width),
      broken(pooled.pooled!),
    ]) {
      const call = sdxl.denoise({ positive: { ...pooled, pooled: other }, ...SIZE });
      await expect(call).rejects.toMatchObject({
        code: expect.stringMatching(/^(SHAPE_MISMATCH|INVALID_OPTION|NOT_FINITE)$/),
        message: expect.stringContaining('positive.pooled'),
      });
    }
    await expect(starter.denoise({ positive: pooled, ...SIZE })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
  });

  it('accepts encodings without a window count, and pads the shorter one', async () => {
    const long = await starter.encodeText(Array(60).fill('apple').join(' '));
    expect(long.chunks).toBeGreaterThan(1);
    const given = { positive: { context: long.context }, negative: { context: positive.context } };
    const bare = await starter.denoise({ ...given, ...SIZE });
    const whole = await starter.denoise({ positive: long, negative: positive, ...SIZE });
    expect(bare.data).toEqual(whole.data);
    const any = { context: states(1, 7, WIDTH) };
    expect((await starter.denoise({ positive: any, negative: any, ...SIZE })).shape).toEqual([1, 4, 8, 8]);
  });

  it('rejects with NOT_FINITE when a caller makes the latent or x0 of a step infinite or NaN', async () => {
    for (const what of ['latent', 'x0'] as const) {
      for (const value of [Number.NaN, Number.NEGATIVE_INFINITY]) {
        const call = starter.denoise({
          positive,
          ...SIZE,
          steps: 4,
          sampler: 'dpmpp_2m',
          onStep: (step) => {
            step[what].data[3] = value;
          },
        });
        await expect(call).rejects.toMatchObject({ code: 'NOT_FINITE' });
      }
    }
  });

  it('rejects with a typed error when the memory of a step is transferred', async () => {
    const stream = starter.stream({ prompt: 'a', ...SIZE, steps: 3 });
    const run = async () => {
      for await (const { latent } of stream)
        structuredClone(latent.data, { transfer: [latent.data.buffer as ArrayBuffer] });
    };
    await expect(run()).rejects.toMatchObject({ name: 'SafelightError', code: 'SHAPE_MISMATCH' });
  });
});

describe('decode and tap', () => {
  it.each([
    ['other channels', () => states(1, 3, 8, 8), 'SHAPE_MISMATCH'],
    ['no batch', () => states(4, 8, 8), 'SHAPE_MISMATCH'],
    ['no rows', () => states(1, 4, 0, 8), 'SHAPE_MISMATCH'],
    ['integers', () => new Tensor(new Int32Array(256), [1, 4, 8, 8]) as never, 'SHAPE_MISMATCH'],
    ['detached memory', () => detachedTensor([1, 4, 8, 8]), 'SHAPE_MISMATCH'],
    ['NaN', () => broken(states(1, 4, 8, 8)), 'NOT_FINITE'],
    ['type Float32Array', () => new Float32Array(256) as never, 'INVALID_OPTION'],
  ] as [string, () => Tensor, string][])('reject a latent of %s', async (_name, latent, code) => {
    await expect(starter.decode(latent())).rejects.toMatchObject({ code });
    const tap = starter.tap({ module: 'decoder', names: ['decoder.mid_block'], latent: latent() });
    await expect(tap).rejects.toMatchObject({ code });
  });
});
