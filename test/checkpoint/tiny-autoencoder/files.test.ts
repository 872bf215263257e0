import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { openAutoencoder } from '../../../lib/checkpoint/open-autoencoder.js';
import { recognizeModel } from '../../../lib/families/shared/recognize.js';
import { convertModel } from '../../../lib/tools/convert.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import {
  originalHalf,
  taesdForms,
  taesdTensors,
  writeTaesdFolder,
  writeTensors,
} from '../../support/taesd.js';
import { editJson, type RawTensor } from '../../support/tiny-models.js';

const root = mkdtempSync(join(tmpdir(), 'safelight-taesd-files-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
const place = (): string => join(root, `${count++}`);
const SCALE = { scaling_factor: 0.18215, shift_factor: 0 };
const open = (path: string) => openAutoencoder(path, undefined, SCALE);

const [BLOCK, CONV, DOWN] = [
  { op: 'block', out: 8, pool_channels: 0 },
  { op: 'conv', out: 8, stride: 1, bias: true },
  { op: 'conv', out: 8, stride: 2, bias: false },
];
const UP = [{ op: 'upsample' }, { op: 'conv', out: 8, stride: 1, bias: false }];
const CONFIG = {
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  encoder: [CONV, BLOCK, DOWN, BLOCK, DOWN, BLOCK, { ...CONV, out: 4 }],
  decoder: [CONV, { op: 'relu' }, BLOCK, ...UP, BLOCK, ...UP, BLOCK, { ...CONV, out: 3 }],
  scaling_factor: 1,
  shift_factor: 0,
};

describe('the files of a tiny autoencoder', () => {
  it.each(Object.entries(taesdForms))('are opened as %s with the same config', async (_, write) => {
    const { kind, config, weights } = await open(write(place()));
    expect({ kind, config }).toEqual({ kind: 'tiny_autoencoder', config: CONFIG });
    expect(new Set(weights.parameters.keys())).toEqual(new Set(taesdTensors().keys()));
  });

  it.each(Object.entries(taesdForms))('are described by inspect as %s', async (_, write) => {
    const { form, components, ignored } = await inspectModel(write(place()));
    expect(form).toBe('component');
    expect(components).toMatchObject([{ name: 'vae', kind: 'tiny_autoencoder', config: CONFIG }]);
    const others = ignored.map(({ name }) => name);
    expect(others.every((name) => name.startsWith('vae_'))).toBe(true);
  });

  it('are read with a lone half, whose kind follows from its layers', async () => {
    const encoder = writeTensors(join(place(), 'a.safetensors'), originalHalf('encoder'));
    const decoder = writeTensors(join(place(), 'b.safetensors'), originalHalf('decoder'));
    const [inEncoder] = (await inspectModel(encoder)).components;
    const [inDecoder] = (await inspectModel(decoder)).components;
    expect(inEncoder).toMatchObject({ config: { ...CONFIG, decoder: null } });
    expect(inDecoder).toMatchObject({ config: { ...CONFIG, encoder: null } });
  });

  it("are read with a decoder alone by diffusers' indices", async () => {
    const lone = [...taesdTensors()].filter(([name]) => name.startsWith('decoder.'));
    const bare = lone.map(([name, tensor]) => [name.replace('decoder.layers.', ''), tensor] as const);
    const path = writeTensors(join(place(), 'x.safetensors'), new Map(bare));
    expect((await open(path)).config).toEqual({ ...CONFIG, encoder: null });
  });

  it.each(Object.entries(taesdForms))('are no complete model as %s', async (_, write) => {
    await expect(recognizeModel(write(place()))).rejects.toMatchObject({ code: 'UNSUPPORTED_MODEL' });
  });

  it('cannot be converted, which the message says', async () => {
    const vae = taesdForms['a diffusers folder']!(place());
    await expect(convertModel(starterModel, join(place(), 'x.gguf'), { vae })).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringMatching(/is a tiny autoencoder, which a converted model cannot contain/),
    });
  });

  it('use the latent scale of config.json, and 1 without one', async () => {
    const folder = writeTaesdFolder(place());
    editJson(join(folder, 'config.json'), { scaling_factor: 0.5, shift_factor: 0.25 });
    expect((await open(folder)).config).toMatchObject({ scaling_factor: 0.5, shift_factor: 0.25 });
  });
});

/** Tensors after a change to the map. */
function changed(change: (tensors: Map<string, RawTensor>) => void): Map<string, RawTensor> {
  const tensors = taesdTensors();
  change(tensors);
  return tensors;
}

const resized = (shape: readonly number[]): RawTensor => ({
  dtype: 'F16',
  shape,
  data: new Uint8Array(2 * shape.reduce((a, b) => a * b, 1)),
});

describe('malformed files of a tiny autoencoder', () => {
  const cases: [string, Map<string, RawTensor>, string, RegExp][] = [
    [
      'a layer that is missing',
      changed((all) => {
        for (const name of all.keys()) if (name.startsWith('encoder.layers.3.')) all.delete(name);
      }),
      'MISSING_TENSOR',
      /no tensors of layer 3 of its encoder.*download it again/,
    ],
    [
      'a block in place of the last convolution',
      changed((all) => all.delete('decoder.layers.9.weight') && all.delete('decoder.layers.9.bias')),
      'UNSUPPORTED_MODEL',
      /its decoder does not begin and end with a convolution/,
    ],
    [
      'layers whose channels do not match',
      changed((all) => all.set('decoder.layers.4.weight', resized([8, 16, 3, 3]))),
      'UNSUPPORTED_MODEL',
      /decoder\.layers\.4 has 16 input channels after one of 8/,
    ],
    [
      'a filter of five dimensions',
      changed((all) => all.set('decoder.layers.0.weight', resized([8, 4, 3, 3, 3]))),
      'SHAPE_MISMATCH',
      /decoder\.layers\.0\.weight.*expected 4 dimensions/,
    ],
    [
      'halves with different latents',
      changed((all) => all.set('encoder.layers.6.weight', resized([16, 8, 3, 3]))),
      'SHAPE_MISMATCH',
      /encoder of 16 and a decoder of 4 latent channels/,
    ],
    [
      'images of four channels',
      changed((all) => all.set('encoder.layers.0.weight', resized([8, 4, 3, 3]))),
      'UNSUPPORTED_MODEL',
      /its images have 4 channels, expected 3/,
    ],
  ];
  it.each(cases)('are rejected with a typed error: %s', async (_, tensors, code, message) => {
    const path = writeTensors(join(place(), 'taesd.safetensors'), tensors);
    await expect(open(path)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it.each([
    [{ act_fn: 'silu' }, 'UNSUPPORTED_MODEL', /act_fn/],
    [{ upsampling_scaling_factor: 4 }, 'UNSUPPORTED_MODEL', /upsampling_scaling_factor/],
    [{ scaling_factor: 'one' }, 'INVALID_FILE', /scaling_factor/],
    [{ latent_channels: 16 }, 'SHAPE_MISMATCH', /latent_channels is 16, but latents of the weights have 4/],
  ])('are rejected with %o in config.json', async (change, code, message) => {
    const folder = writeTaesdFolder(place());
    editJson(join(folder, 'config.json'), change);
    await expect(open(folder)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('are rejected if the folder contains another model', async () => {
    const folder = writeTaesdFolder(place(), new Map([['conv_in.weight', resized([8, 4, 3, 3])]]));
    await expect(open(folder)).rejects.toMatchObject({ code: 'UNSUPPORTED_MODEL' });
  });

  it('are rejected as vae if they contain only an encoder, naming the file that is missing', async () => {
    const path = writeTensors(join(place(), 'taesd_encoder.pth'), originalHalf('encoder'));
    await expect(open(path)).rejects.toMatchObject({
      code: 'MISSING_TENSOR',
      message: expect.stringMatching(/only the encoder.*put taesd_decoder\.pth beside it/),
    });
  });
});
