/** Malformed models, images and options of the upscaler. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Upscaler } from '../../../lib/pipelines/upscale/upscaler.js';
import { type RawTensor, writeSafetensors } from '../../support/tiny-models.js';
import { testImage } from '../../support/upscale/images.js';
import { weightsOf, writeNetwork } from '../../support/upscale/networks.js';
import { scratch } from '../../support/vqgan/autoencoders.js';

const folder = scratch();
const options = { backend: 'cpu', threads: 2 } as const;

function written(tensors: ReadonlyMap<string, RawTensor>): string {
  const path = join(folder, 'changed.safetensors');
  writeSafetensors(path, tensors);
  return path;
}

/** Returns the weights of a network with some replaced, or removed if null. */
function changed(name: string, changes: Readonly<Record<string, RawTensor | null>>): Map<string, RawTensor> {
  const tensors = weightsOf(name);
  for (const [key, tensor] of Object.entries(changes)) {
    if (tensor === null) tensors.delete(key);
    else tensors.set(key, tensor);
  }
  return tensors;
}

const zeros = (...shape: number[]): RawTensor => ({
  dtype: 'F16',
  shape,
  data: new Uint8Array(2 * shape.reduce((a, b) => a * b, 1)),
});

describe('models', () => {
  test.each<[string, () => string, string, RegExp]>([
    ['a missing file', () => join(folder, 'none.pth'), 'FILE_NOT_FOUND', /none\.pth/],
    [
      'a file of another kind',
      () => {
        const path = join(folder, 'text.pth');
        writeFileSync(path, 'not a model');
        return path;
      },
      'INVALID_FILE',
      /text\.pth/,
    ],
    [
      'another model',
      () => written(new Map([['unet.weight', zeros(2, 2)]])),
      'UNSUPPORTED_MODEL',
      /not a model for upscaling/,
    ],
    [
      'a sequence of layers of another kind',
      () => written(changed('compact', { 'body.1.weight': zeros(20, 20, 3, 3) })),
      'UNSUPPORTED_MODEL',
      /not a model for upscaling/,
    ],
    [
      'an architecture that is not supported',
      () => written(new Map([['layers.0.residual_group.blocks.0.conv_block.cab.0.weight', zeros(2, 2)]])),
      'UNSUPPORTED_MODEL',
      /HAT/,
    ],
    [
      'a missing tensor',
      () => written(changed('esrgan', { 'model.1.sub.1.RDB2.conv3.0.bias': null })),
      'MISSING_TENSOR',
      /model\.1\.sub\.1\.RDB2\.conv3\.0\.bias.*body\.1\.rdb2\.conv3\.bias/,
    ],
    [
      'a tensor of another shape',
      () => written(changed('esrgan-new', { 'conv_hr.weight': zeros(16, 12, 3, 3) })),
      'SHAPE_MISMATCH',
      /conv_hr\.weight/,
    ],
    [
      'a filter with other dimensions',
      () => written(changed('esrgan-new', { 'conv_first.weight': zeros(16, 3) })),
      'SHAPE_MISMATCH',
      /conv_first\.weight/,
    ],
    [
      'images of five channels',
      () =>
        written(
          changed('compact', {
            'body.0.weight': zeros(20, 5, 3, 3),
            'body.6.weight': zeros(80, 20, 3, 3),
            'body.6.bias': zeros(80),
          }),
        ),
      'UNSUPPORTED_MODEL',
      /5 channels/,
    ],
    [
      'a Compact model whose last layer does not fill squares',
      () => written(changed('compact', { 'body.6.weight': zeros(50, 20, 3, 3) })),
      'UNSUPPORTED_MODEL',
      /50 output channels/,
    ],
  ])('rejects %s', async (_, path, code, message) => {
    await expect(Upscaler.load(path(), options)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  const table = 'layers.0.residual_group.blocks.0.attn.relative_position_bias_table';
  const differences = 'layers.0.blocks.0.attn.attns.0.rpe_biases';
  test.each([
    ['swinir', 'windows that are no square', { [table]: zeros(50, 2) }, /50 position biases/],
    [
      'swinir',
      'an embedding of positions',
      { absolute_pos_embed: zeros(1, 64, 16) },
      /absolute position embedding/,
    ],
    ['swinir', 'heads that do not divide the width', { [table]: zeros(49, 3) }, /num_heads/],
    [
      'swinir-direct',
      'no square of pixels',
      { 'upsample.0.weight': zeros(25, 12, 3, 3) },
      /25 channels to 3/,
    ],
    ['dat', 'an odd number of heads', { 'layers.0.blocks.1.attn.temperature': zeros(5, 1, 1) }, /num_heads/],
    ['dat', 'windows of one pixel', { [differences]: zeros(21, 2) }, /two sides of a window/],
    ['dat', 'differences of other dimensions', { [differences]: zeros(21, 2, 2) }, /rpe_biases/],
    ['dat', 'a missing filter', { 'layers.0.blocks.2.ffn.sg.conv.weight': null }, /blocks\.2\.ffn\.sg\.conv/],
  ] as const)('like %s with %s are rejected', async (name, _, changes, message) => {
    await expect(Upscaler.load(written(changed(name, changes)), options)).rejects.toMatchObject({
      name: 'SafelightError',
      code: expect.stringMatching(/UNSUPPORTED_MODEL|INVALID_FILE|MISSING_TENSOR/),
      message: expect.stringMatching(message),
    });
  });

  test('with NaN in their weights reject with NOT_FINITE', async () => {
    const bias: RawTensor = { dtype: 'F16', shape: [48], data: new Uint8Array(96).fill(255) };
    await using upscaler = await Upscaler.load(written(changed('compact', { 'body.6.bias': bias })), options);
    await expect(upscaler.upscale(testImage(9, 8))).rejects.toMatchObject({ code: 'NOT_FINITE' });
  });
});

test('rejects options out of range', async () => {
  const path = writeNetwork(folder, 'compact');
  await using upscaler = await Upscaler.load(path, options);
  const image = testImage(9, 8);
  for (const [bad, name] of [
    [{ scale: 0 }, 'scale'],
    [{ scale: 17 }, 'scale'],
    [{ scale: Number.NaN }, 'scale'],
    [{ tile: 15 }, 'tile'],
    [{ tile: -1 }, 'tile'],
    [{ tile: 64.5 }, 'tile'],
    [{ tile: 32, overlap: 32 }, 'overlap'],
    [{ overlap: -1 }, 'overlap'],
    [{ tiles: 3 }, 'tiles'],
    [{ signal: 3 }, 'signal'],
    [{ onProgress: 3 }, 'onProgress'],
  ] as const) {
    await expect(upscaler.upscale(image, bad as never), JSON.stringify(bad)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining(name),
    });
  }
  for (const [given, bad] of [
    [3, {}],
    ['', {}],
    [path, { threads: 0 }],
    [path, { backend: 'gpu' }],
    [path, { model: 'x' }],
    [path, { onProgress: 1 }],
  ] as const)
    await expect(Upscaler.load(given as never, bad as never)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
});

test('rejects images that cannot be read and results that are too large', async () => {
  await using upscaler = await Upscaler.load(writeNetwork(folder, 'compact'), options);
  await expect(upscaler.upscale(join(folder, 'none.png'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  await expect(upscaler.upscale(Uint8Array.of(1, 2, 3))).rejects.toMatchObject({ code: 'INVALID_IMAGE' });
  const wide = { data: new Uint8Array(2 ** 24 + 1), width: 2 ** 24 + 1, height: 1, channels: 1 } as const;
  await expect(upscaler.upscale(wide)).rejects.toMatchObject({
    code: 'INVALID_OPTION',
    message: expect.stringContaining('pixels after upscaling'),
  });
});

test('does not begin a load or a run whose signal is aborted', async () => {
  const signal = AbortSignal.abort();
  const path = writeNetwork(folder, 'compact');
  await expect(Upscaler.load(path, { ...options, signal })).rejects.toMatchObject({ code: 'ABORTED' });
  await using upscaler = await Upscaler.load(path, options);
  await expect(upscaler.upscale(testImage(8, 8), { signal })).rejects.toMatchObject({ code: 'ABORTED' });
});
