/**
 * Layouts in which VQGAN models are found: inside larger checkpoints, alone, with averages, with and without
 * a config.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { SafelightError } from '../../../lib/errors.js';
import { openVqganModel, type VqganModelSource } from '../../../lib/families/shared/vqgan/open-vqgan.js';
import { VQModel } from '../../../lib/modules/vq-model.js';
import { Tensor } from '../../../lib/tensor/tensor.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import type { RawTensor } from '../../support/tiny-models.js';
import {
  difference,
  expected,
  scratch,
  sections,
  tensorsOf,
  writeCheckpoint,
  writeDiffusers,
} from '../../support/vqgan/autoencoders.js';

const folder = scratch();
const cases = sections('autoencoders');
const reference = expected('autoencoders', 'vqgan');
const { about } = cases.vqgan!;
const model = { target: about.target, params: about.params };
const net2net = {
  target: 'taming.models.cond_transformer.Net2NetTransformer',
  params: { first_stage_config: model },
};

let places = 0;
const place = (): string => join(folder, `${places++}`);

async function gives(source: VqganModelSource): Promise<number> {
  if (source.autoencoder.kind !== 'vq_model') return Number.POSITIVE_INFINITY;
  const vq = await VQModel.load(source.autoencoder, { threads: 1 });
  const { latent } = await vq.encode(await reference.f32('image'));
  const { image } = await vq.decode((await vq.quantize(latent)).indices);
  vq.dispose();
  return difference(image, await reference.f32('decoded'));
}

async function refusal(promise: Promise<unknown>): Promise<SafelightError> {
  return promise.then(
    () => {
      throw new Error('It was not refused');
    },
    (error: SafelightError) => error,
  );
}

describe('an autoencoder', () => {
  test('is found in a whole checkpoint, by its first_stage_config', async () => {
    const tensors = tensorsOf('vqgan', cases.vqgan!, { prefix: 'first_stage_model.' });
    const stranger: RawTensor = { dtype: 'F32', shape: [1], data: new Uint8Array(4) };
    tensors.set('betas', stranger).set('first_stage_model.colorize', stranger);
    const source = await openVqganModel(writeCheckpoint(place(), tensors, net2net));
    expect(source.ignored.map(({ name }) => name)).toEqual(['betas', 'first_stage_model.colorize']);
    expect(source.transformer).toBeNull();
    expect(await gives(source)).toBeLessThan(1e-4);
  });

  test('is found by its tensors alone without a config', async () => {
    const source = await openVqganModel(writeCheckpoint(place(), tensorsOf('vqgan', cases.vqgan!), null));
    const configured = await openVqganModel(
      writeCheckpoint(place(), tensorsOf('vqgan', cases.vqgan!), model),
    );
    expect(source.autoencoder.config).toEqual(configured.autoencoder.config);
    expect(await gives(source)).toBeLessThan(1e-4);
  });

  test.each(['gumbel', 'vq-noattn', 'segmentation', 'kl-f16'])(
    '%s is found by its tensors alone',
    async (name) => {
      const { target, params } = cases[name]!.about;
      const tensors = tensorsOf(name, cases[name]!);
      const configured = await openVqganModel(writeCheckpoint(place(), tensors, { target, params }));
      const { autoencoder } = await openVqganModel(writeCheckpoint(place(), tensors, null));
      expect(autoencoder.kind).toBe(configured.autoencoder.kind);
      expect(autoencoder.config).toEqual(configured.autoencoder.config);
    },
  );

  test('is found in a folder that contains one checkpoint and its YAML', async () => {
    const at = place();
    writeCheckpoint(at, tensorsOf('vqgan', cases.vqgan!), model);
    const source = await openVqganModel(at);
    expect(source).toMatchObject({ path: at, form: 'folder' });
    expect(await gives(source)).toBeLessThan(1e-4);
    writeCheckpoint(join(at, 'other'), tensorsOf('vqgan', cases.vqgan!), null);
    writeFileSync(join(at, 'other', 'second.safetensors'), '');
    expect((await refusal(openVqganModel(join(at, 'other')))).message).toContain('several checkpoints');
  });

  test("is found by the config option's YAML, and in the vqvae folder of a diffusers pipeline", async () => {
    const at = place();
    const file = writeCheckpoint(at, tensorsOf('vqgan', cases.vqgan!), null);
    writeFileSync(join(at, 'elsewhere.yml'), JSON.stringify({ model }));
    expect(await gives(await openVqganModel(file, { config: join(at, 'elsewhere.yml') }))).toBeLessThan(1e-4);
    const pipeline = place();
    writeDiffusers(join(pipeline, 'vqvae'), 'diffusers', cases.diffusers!);
    const { autoencoder } = await openVqganModel(pipeline);
    expect(autoencoder.config).toMatchObject({ num_vq_embeddings: 64, vq_embed_dim: 3, z_channels: 5 });
  });

  test.each(['', 'first_stage_model.'])('is read with its averages on request (%j)', async (prefix) => {
    const tensors = tensorsOf('vqgan', cases.vqgan!, { prefix, of: 'not averaged' });
    for (const [name, tensor] of tensorsOf('vqgan', cases.vqgan!))
      tensors.set(`${prefix}model_ema.${name.replaceAll('.', '')}`, tensor);
    const file = writeCheckpoint(place(), tensors, prefix === '' ? model : net2net);
    expect(await gives(await openVqganModel(file, { ema: true }))).toBeLessThan(1e-4);
    expect(await gives(await openVqganModel(file))).toBeGreaterThan(0.1);
    const without = writeCheckpoint(place(), tensorsOf('vqgan', cases.vqgan!), model);
    expect((await refusal(openVqganModel(without, { ema: true }))).code).toBe('MISSING_TENSOR');
  });

  test('is inspected', async () => {
    const found = await inspectModel(writeCheckpoint(place(), tensorsOf('vqgan', cases.vqgan!), model));
    expect(found.components).toMatchObject([{ name: 'vqvae', kind: 'vq_model', dialect: 'ldm' }]);
    expect(found.components[0]!.plan!.entries).toHaveLength(cases.vqgan!.rows.length);
    const diffusers = await inspectModel(writeDiffusers(place(), 'diffusers', cases.diffusers!));
    expect(diffusers.components).toMatchObject([{ name: 'vqvae', kind: 'vq_model', dialect: 'diffusers' }]);
  });
});

describe('a table of used code indices', () => {
  const used = cases['used-fixed']!;
  const tensors = tensorsOf('used-fixed', used);
  const config = (params: Record<string, unknown>) => ({
    target: used.about.target,
    params: { ...used.about.params, ...params },
  });

  async function load(params: Record<string, unknown>, of = tensors): Promise<VQModel> {
    const { autoencoder } = await openVqganModel(writeCheckpoint(place(), of, config(params)));
    if (autoencoder.kind !== 'vq_model') throw new Error('no codebook');
    return VQModel.load(autoencoder, { threads: 1 });
  }

  test('maps indices to its positions, and unknown ones to random but reproducible positions', async () => {
    const vq = await load({ unknown_index: 'random' });
    const latent = await expected('autoencoders', 'used-fixed').f32('latent');
    const fixed = await expected('autoencoders', 'used-fixed').i32('indices');
    const { indices } = await vq.quantize(latent);
    expect(vq.indexCount).toBe(used.about.used!.length);
    expect((await vq.quantize(latent)).indices).toEqual(indices);
    const unknown = fixed.data.map((index, i) => (index === 3 && indices.data[i] !== 3 ? 1 : 0));
    expect(unknown).toContain(1);
    const picked = await vq.quantize(latent, { pick: (below) => below - 1 });
    indices.data.forEach((index, i) => {
      if (unknown[i]) expect(picked.indices.data[i]).toBe(vq.indexCount - 1);
      else expect(index).toBe(fixed.data[i]);
    });
    vq.dispose();
  });

  test('is rejected if it is invalid, and rejects indices beyond it', async () => {
    const vq = await load({});
    const beyond = Tensor.from(Int32Array.of(vq.indexCount), [1, 1, 1]);
    for (const call of [() => vq.lookup(beyond), () => vq.decode(beyond)])
      expect(await refusal(call())).toMatchObject({ code: 'INVALID_OPTION' });
    vq.dispose();
    const table = (values: bigint[]): Map<string, RawTensor> =>
      new Map(tensors).set('quantize.used', {
        dtype: 'I64',
        shape: [values.length],
        data: new Uint8Array(BigInt64Array.from(values).buffer),
      });
    for (const values of [[40n], [-1n], [2n ** 40n]])
      expect(await refusal(load({}, table(values)))).toMatchObject({ code: 'INVALID_FILE' });
    expect(await refusal(load({ unknown_index: 99 }))).toMatchObject({ code: 'INVALID_FILE' });
    const without = new Map(tensors);
    without.delete('quantize.used');
    expect(await refusal(load({}, without))).toMatchObject({ code: 'MISSING_TENSOR' });
  });
});

describe('unsupported models', () => {
  const dd = about.params.ddconfig as Record<string, unknown>;
  const tensors = tensorsOf('vqgan', cases.vqgan!);

  test.each([
    ['target', { target: 'ldm.models.diffusion.ddpm.LatentDiffusion' }, {}, 'encoder'],
    ['attn_type', {}, { attn_type: 'linear' }, 'attn_type'],
    ['use_linear_attn', {}, { use_linear_attn: true }, 'attn_type'],
    ['double_z', {}, { double_z: true }, 'double_z'],
    ['resamp_with_conv', {}, { resamp_with_conv: false }, 'resamp_with_conv'],
    ['tanh_out', {}, { tanh_out: true }, 'tanh_out'],
    ['ch', {}, { ch: 20 }, 'norm_num_groups'],
    ['ch_mult', {}, { ch_mult: [] }, 'ch_mult'],
    ['a config without ch', {}, { ch: null }, 'ch'],
    ['resolution', {}, { resolution: 'large' }, 'resolution'],
    ['attn_resolutions', {}, { attn_resolutions: 16 }, 'attn_resolutions'],
  ])('are rejected by name: %s', async (_, top, changes, named) => {
    const params = { ...about.params, ddconfig: { ...dd, ...changes } };
    const file = writeCheckpoint(place(), tensors, { ...model, params, ...top });
    if (named === 'encoder') {
      // A config that does not describe an autoencoder leaves it to the tensors.
      expect(await gives(await openVqganModel(file))).toBeLessThan(1e-4);
      return;
    }
    const error = await refusal(openVqganModel(file));
    expect(['INVALID_FILE', 'UNSUPPORTED_MODEL']).toContain(error.code);
    expect(error.message).toContain(named);
  });

  test("are rejected with the file's name of a missing tensor or of one with another shape", async () => {
    for (const name of ['quantize.embedding.weight', 'decoder.up.2.attn.1.q.bias', 'quant_conv.bias']) {
      const fewer = new Map(tensors);
      fewer.delete(name);
      const { autoencoder } = await openVqganModel(writeCheckpoint(place(), fewer, model));
      if (autoencoder.kind !== 'vq_model') throw new Error('no codebook');
      const error = await refusal(VQModel.load(autoencoder));
      expect(error).toMatchObject({ code: 'MISSING_TENSOR' });
      expect(error.message).toContain(name);
    }
    const params = { ...about.params, n_embed: 64 };
    const { autoencoder } = await openVqganModel(writeCheckpoint(place(), tensors, { ...model, params }));
    if (autoencoder.kind !== 'vq_model') throw new Error('no codebook');
    expect(await refusal(VQModel.load(autoencoder))).toMatchObject({ code: 'SHAPE_MISMATCH' });
  });

  test('are rejected if they are other files or folders', async () => {
    const empty = place();
    mkdirSync(empty);
    expect(await refusal(openVqganModel(empty))).toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(await refusal(openVqganModel(join(empty, 'none.ckpt')))).toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(await refusal(openVqganModel(''))).toMatchObject({ code: 'INVALID_OPTION' });
    const strange = new Map([['betas', { dtype: 'F32', shape: [1], data: new Uint8Array(4) }]]);
    const error = await refusal(openVqganModel(writeCheckpoint(place(), strange, null)));
    expect(error).toMatchObject({ code: 'MISSING_TENSOR' });
    writeFileSync(
      join(empty, 'config.json'),
      JSON.stringify({ ...cases.diffusers!.about.config, norm_type: 'spatial' }),
    );
    expect(await refusal(openVqganModel(empty))).toMatchObject({ code: 'UNSUPPORTED_MODEL' });
  });

  test('images, latents and indices of other shapes are rejected', async () => {
    const { autoencoder } = await openVqganModel(writeCheckpoint(place(), tensors, model));
    if (autoencoder.kind !== 'vq_model') throw new Error('no codebook');
    const vq = await VQModel.load(autoencoder, { threads: 1 });
    const bad: [() => Promise<unknown>, string][] = [
      [() => vq.encode(Tensor.zeros([1, 3, 20, 27])), 'INVALID_OPTION'],
      [() => vq.encode(Tensor.zeros([1, 4, 20, 28])), 'SHAPE_MISMATCH'],
      [() => vq.encode(Tensor.zeros([3, 20, 28])), 'SHAPE_MISMATCH'],
      [() => vq.quantize(Tensor.zeros([1, 7, 2, 2])), 'SHAPE_MISMATCH'],
      [() => vq.decode(Tensor.from(Int32Array.of(128), [1, 1, 1])), 'INVALID_OPTION'],
      [() => vq.decode(Tensor.from(Int32Array.of(-1), [1, 1, 1])), 'INVALID_OPTION'],
      [() => vq.decode(Tensor.from(Int32Array.of(1, 2), [1, 2])), 'SHAPE_MISMATCH'],
      [() => vq.lookup(Tensor.zeros([1, 1, 1]) as unknown as Tensor<Int32Array>), 'INVALID_OPTION'],
    ];
    for (const [call, code] of bad) expect(await refusal(call())).toMatchObject({ code });
    vq.dispose();
  });
});
