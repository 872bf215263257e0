import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { requirements } from '../../../lib/binding/module.js';
import type { ModelSource } from '../../../lib/checkpoint/model-descriptor.js';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { openModel } from '../../../lib/families/registry.js';
import { canonical, renamed, writeComponent, writeFolder } from '../../support/checkpoint/folders.js';
import { checkpoint, requirements as needed, reference } from '../../support/checkpoint/reference-names.js';
import { scratch, writeJson, writeSparse } from '../../support/checkpoint/sparse-files.js';

const folder = scratch();
let count = 0;
const fresh = (): string => join(folder, `${count++}`);
const tiny = reference.tiny_sd1!;
const UNET = { _class_name: 'UNet2DConditionModel', ...tiny.unet.config };
const VAE = { _class_name: 'AutoencoderKL', ...tiny.vae.config };

describe('a diffusers folder', () => {
  test.each(['tiny_sd1', 'tiny_sd2', 'tiny_sdxl', 'sdxl_refiner'])(
    'of %s is the same model as its single file',
    async (name) => {
      const family = reference[name]!;
      const inFolder = await openModel(await writeFolder(fresh(), family));
      const inFile = await openModel(
        await writeSparse(join(fresh(), 'model.safetensors'), checkpoint(family)),
      );
      expect(inFolder.form).toBe('folder');
      expect(inFolder.family).toBe(inFile.family);
      expect(inFolder.forceZerosForEmptyPrompt).toBe(inFile.forceZerosForEmptyPrompt);
      expect(inFolder.scheduler).toEqual(inFile.scheduler);
      expect({ ...inFolder.unet.config, sample_size: 0 }).toEqual({ ...inFile.unet.config, sample_size: 0 });
      expect(inFolder.ignored).toEqual([]);
      expect(
        inFolder.textEncoders.map(({ config, kind, pooled, padId }) => [config, kind, pooled, padId]),
      ).toEqual(inFile.textEncoders.map(({ config, kind, pooled, padId }) => [config, kind, pooled, padId]));
      const names = (source: ModelSource): string[][] =>
        [...source.textEncoders, source.unet, source.autoencoder].map(({ weights }) =>
          [...weights.parameters.keys()].sort(),
        );
      expect(names(inFolder)).toEqual(names(inFile));
    },
  );

  test('defaults to the starter model with its own vocabulary and defaults', async () => {
    const source = await openModel(starterModel);
    expect(source.defaults).toEqual({ steps: 20, cfg: 4, sampler: 'dpmpp_2m', schedule: 'karras' });
    expect(source.scheduler.prediction).toBe('v');
    expect(source.textEncoders[0]?.tokenizer).toMatchObject({
      bosId: 4012,
      eosId: 4013,
      padId: 4013,
      maxLength: 32,
    });
    expect(source.textEncoders[0]?.weights.dialect).toMatch(/without text_model/);
    for (const [kind, { config, weights }] of [
      ['text_encoder', source.textEncoders[0]!],
      ['unet', source.unet],
      ['autoencoder_kl', source.autoencoder],
    ] as const) {
      const plan = weights.plan(requirements(kind, { ...config }));
      expect(plan.entries.length).toBe(weights.parameters.size);
    }
  });

  test('may have an autoencoder with older diffusers attention names, also as 1x1 convolutions', async () => {
    const path = await writeFolder(fresh(), tiny);
    const old = renamed(canonical(tiny.vae), (name) =>
      name
        .replace('.to_q.', '.query.')
        .replace('.to_k.', '.key.')
        .replace('.to_v.', '.value.')
        .replace('.to_out.0.', '.proj_attn.'),
    );
    const query = 'encoder.mid_block.attentions.0.query.weight';
    await writeComponent(join(path, 'vae'), VAE, {
      ...old,
      [query]: { dtype: 'F16', shape: [64, 64, 1, 1] },
    });
    const { autoencoder, ignored } = await openModel(path);
    expect(ignored).toEqual([]);
    expect(autoencoder.weights.plan(needed(tiny.vae)).entries).toHaveLength(tiny.vae.rows.length);
    expect(autoencoder.weights.dialect).toMatch(/query/);
  });

  test('prefers plain weights to fp16, and the requested variant to both', async () => {
    const path = await writeFolder(fresh(), tiny);
    const vae = join(path, 'vae');
    const used = async (variant?: string): Promise<string> =>
      [
        ...(await openModel(path, variant ? { variant } : {})).autoencoder.weights.tensors.values(),
      ][0]!.file.slice(vae.length + 1);
    await writeSparse(join(vae, 'diffusion_pytorch_model.fp16.safetensors'), canonical(tiny.vae));
    await writeSparse(join(vae, 'diffusion_pytorch_model.ema.safetensors'), canonical(tiny.vae));
    expect(await used()).toBe('diffusion_pytorch_model.safetensors');
    expect(await used('fp16')).toBe('diffusion_pytorch_model.fp16.safetensors');
    expect(await used('ema')).toBe('diffusion_pytorch_model.ema.safetensors');
    await expect(used('bf16')).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('bf16'),
    });
    await expect(used('../x')).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await rm(join(vae, 'diffusion_pytorch_model.safetensors'));
    expect(await used()).toBe('diffusion_pytorch_model.fp16.safetensors');
  });

  test('may contain a component in shards', async () => {
    const path = await writeFolder(fresh(), tiny);
    const unet = join(path, 'unet');
    const all = Object.entries(canonical(tiny.unet));
    const half = Math.floor(all.length / 2);
    const shards = [
      'diffusion_pytorch_model-00001-of-00002.safetensors',
      'diffusion_pytorch_model-00002-of-00002.safetensors',
    ] as const;
    await rm(join(unet, 'diffusion_pytorch_model.safetensors'));
    await writeSparse(join(unet, shards[0]), Object.fromEntries(all.slice(0, half)));
    await writeSparse(join(unet, shards[1]), Object.fromEntries(all.slice(half)));
    await writeJson(join(unet, 'diffusion_pytorch_model.safetensors.index.json'), {
      weight_map: Object.fromEntries(all.map(([name], i) => [name, shards[i < half ? 0 : 1]])),
    });
    const plan = (await openModel(path)).unet.weights.plan(needed(tiny.unet));
    expect(plan.files.map((file) => file.slice(unet.length + 1)).sort()).toEqual([...shards]);
  });

  test('is rejected with the name of a missing part', async () => {
    const expectMissing = async (part: string, code: string, message: RegExp): Promise<void> => {
      const path = await writeFolder(fresh(), tiny);
      await rm(join(path, part), { recursive: true });
      await expect(openModel(path)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    };
    await expectMissing('model_index.json', 'FILE_NOT_FOUND', /model_index\.json/);
    await expectMissing('unet', 'FILE_NOT_FOUND', /unet/);
    await expectMissing('vae/config.json', 'FILE_NOT_FOUND', /vae\/config\.json/);
    await expectMissing('text_encoder/model.safetensors', 'FILE_NOT_FOUND', /text_encoder/);
    await expectMissing('scheduler', 'FILE_NOT_FOUND', /scheduler_config\.json/);
    const pickled = await writeFolder(fresh(), tiny);
    await rm(join(pickled, 'vae', 'diffusion_pytorch_model.safetensors'));
    await writeFile(join(pickled, 'vae', 'diffusion_pytorch_model.bin'), 'PK');
    await expect(openModel(pickled)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/\.bin/),
    });
    await expect(openModel(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(openModel('')).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  test('reads its tokenizer in either form, or falls back to the standard one', async () => {
    const path = await writeFolder(fresh(), tiny);
    expect((await openModel(path)).textEncoders[0]?.tokenizer).toBe('standard');
    await cp(join(starterModel, 'tokenizer'), join(path, 'tokenizer'), { recursive: true });
    // The encoder's window of 16 is shorter than the tokenizer's limit of 32.
    expect((await openModel(path)).textEncoders[0]?.tokenizer).toMatchObject({
      bosId: 4012,
      padId: 4013,
      maxLength: 16,
    });
    await rm(join(path, 'tokenizer', 'merges.txt'));
    await expect(openModel(path)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringMatching(/merges\.txt/),
    });
  });

  test('is rejected if its parts do not fit together', async () => {
    const path = await writeFolder(fresh(), tiny);
    const other = reference.tiny_sd2!.text_encoders[0]!;
    await writeComponent(join(path, 'text_encoder'), other.config, canonical(other), 'model.safetensors');
    await expect(openModel(path)).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringMatching(/width 128.*expects 32/),
    });
  });
});

describe('configs', () => {
  const features: [field: string, value: unknown][] = [
    ['_class_name', 'UNetMotionModel'],
    ['down_block_types', ['SimpleCrossAttnDownBlock2D', 'DownBlock2D']],
    ['down_block_types', ['CrossAttnDownBlock2D']],
    ['up_block_types', ['UpBlock2D', 'AttnUpBlock2D']],
    ['mid_block_type', 'UNetMidBlock2DSimpleCrossAttn'],
    ['mid_block_type', null],
    ['center_input_sample', true],
    ['only_cross_attention', true],
    ['only_cross_attention', [true, false]],
    ['dual_cross_attention', true],
    ['class_embed_type', 'simple_projection'],
    ['addition_embed_type', 'text'],
    ['addition_embed_type', 'text_time'],
    ['encoder_hid_dim', 768],
    ['encoder_hid_dim_type', 'text_proj'],
    ['resnet_time_scale_shift', 'spatial'],
    ['resnet_out_scale_factor', 0.5],
    ['time_embedding_type', 'fourier'],
    ['time_embedding_dim', 100],
    ['conv_in_kernel', 5],
    ['act_fn', 'gelu'],
    ['attention_type', 'gated'],
    ['cross_attention_dim', [32, 64]],
    ['reverse_transformer_layers_per_block', [[1], [2]]],
    ['transformer_layers_per_block', 0],
    ['norm_num_groups', 24],
    ['attention_head_dim', 5],
  ];
  test.each(features)('rejects a U-Net with %s %j', async (field, value) => {
    const path = await writeFolder(fresh(), tiny);
    await writeJson(join(path, 'unet', 'config.json'), { ...UNET, [field]: value });
    const message = expect.stringMatching(
      field === 'addition_embed_type' && value === 'text_time' ? /addition_time_embed_dim/ : /\S/,
    );
    await expect(openModel(path)).rejects.toMatchObject({ code: 'UNSUPPORTED_MODEL', message });
  });

  test.each([
    ['_class_name', 'AsymmetricAutoencoderKL'],
    ['_class_name', 'VQModel'],
    ['down_block_types', ['DownEncoderBlock2D', 'DownEncoderBlockCausal3D']],
    ['up_block_types', ['UpDecoderBlock2D']],
    ['latents_mean', [0, 0, 0, 0]],
    ['in_channels', 4],
    ['out_channels', 1],
    ['norm_num_groups', 5],
  ])('rejects an autoencoder with %s %j', async (field, value) => {
    const path = await writeFolder(fresh(), tiny);
    await writeJson(join(path, 'vae', 'config.json'), { ...VAE, [field]: value });
    await expect(openModel(path)).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining(field),
    });
  });

  test.each([
    ['text_encoder/config.json', 'model_type', 't5'],
    ['text_encoder/config.json', 'hidden_act', 'relu'],
    ['text_encoder/config.json', 'architectures', ['RobertaSeriesModelWithTransformation']],
    ['scheduler/scheduler_config.json', 'prediction_type', 'flow_prediction'],
    ['scheduler/scheduler_config.json', '_class_name', 'FlowMatchEulerDiscreteScheduler'],
    ['scheduler/scheduler_config.json', 'trained_betas', [0.1, 0.2]],
    ['scheduler/scheduler_config.json', 'beta_schedule', 'sigmoid'],
  ])('rejects %s with %s %j', async (file, field, value) => {
    const path = await writeFolder(fresh(), tiny);
    await writeJson(join(path, file), { [field]: value });
    await expect(openModel(path)).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining(field),
    });
  });

  const absurd: [file: string, field: string, value: unknown][] = [
    ['unet/config.json', 'block_out_channels', []],
    ['unet/config.json', 'block_out_channels', [32, -64]],
    ['unet/config.json', 'block_out_channels', [32, 2 ** 40]],
    ['unet/config.json', 'block_out_channels', 'wide'],
    ['unet/config.json', 'layers_per_block', 1.5],
    ['unet/config.json', 'layers_per_block', 1e9],
    ['unet/config.json', 'in_channels', 0],
    ['unet/config.json', 'norm_eps', 'small'],
    ['unet/config.json', 'use_linear_projection', 'no'],
    ['unet/config.json', 'sample_size', -1],
    ['unet/config.json', 'time_cond_proj_dim', 3],
    ['unet/config.json', 'time_cond_proj_dim', 2 ** 40],
    ['vae/config.json', 'latent_channels', null],
    ['vae/config.json', 'scaling_factor', 0],
    ['vae/config.json', 'block_out_channels', Array.from({ length: 100 }, () => 32)],
    ['text_encoder/config.json', 'num_hidden_layers', 1e6],
    ['text_encoder/config.json', 'max_position_embeddings', 1],
    ['scheduler/scheduler_config.json', 'num_train_timesteps', 0],
    ['scheduler/scheduler_config.json', 'beta_end', 2],
    ['safelight.json', 'steps', 'many'],
    ['safelight.json', 'eta', -1],
    ['model_index.json', 'vae', 'AutoencoderKL'],
  ];
  test.each(absurd)('rejects an absurd value with INVALID_FILE: %s %s %j', async (file, field, value) => {
    const path = await writeFolder(fresh(), tiny);
    const base: Record<string, object> = {
      'unet/config.json': UNET,
      'vae/config.json': VAE,
      'text_encoder/config.json': tiny.text_encoders[0]!.config,
      'model_index.json': {
        unet: ['diffusers', 'UNet2DConditionModel'],
        text_encoder: ['transformers', 'CLIPTextModel'],
      },
    };
    await writeJson(join(path, file), { ...base[file], [field]: value });
    await expect(openModel(path)).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringContaining(field),
    });
  });

  test('rejects configs that are not JSON objects with INVALID_FILE', async () => {
    for (const text of ['', '{', '[]', 'null', '7', '\ufeff{}', Buffer.from([0x7b, 0xff, 0x7d])]) {
      const path = await writeFolder(fresh(), tiny);
      await writeFile(join(path, 'unet', 'config.json'), text);
      await expect(openModel(path)).rejects.toMatchObject({ code: 'INVALID_FILE' });
    }
  });

  test('ignores fields without effect', async () => {
    const path = await writeFolder(fresh(), tiny);
    await writeJson(join(path, 'unet', 'config.json'), {
      ...UNET,
      upcast_attention: true,
      dropout: 0.1,
      whatever: { a: 1 },
    });
    expect((await openModel(path)).unet.config.in_channels).toBe(4);
  });
});

describe('the vae option', () => {
  const scaled = { ...VAE, scaling_factor: 0.5, shift_factor: 0.25 };

  async function opened(vae: string): Promise<ModelSource['autoencoder']> {
    const path = await writeSparse(join(fresh(), 'model.safetensors'), checkpoint(tiny));
    const { autoencoder, ignored } = await openModel(path, { vae });
    // The autoencoder of the file is now unused.
    const left = ignored.filter(({ file }) => file === path);
    expect(left).toHaveLength(tiny.vae.rows.length);
    expect(left.every(({ name }) => name.startsWith('first_stage_model.'))).toBe(true);
    expect(autoencoder.weights.plan(needed(tiny.vae)).files).toHaveLength(1);
    return autoencoder;
  }

  test('accepts a folder, a whole model folder, or a file next to its config, with its scaling factor', async () => {
    const alone = await writeComponent(fresh(), scaled, canonical(tiny.vae));
    const whole = await writeFolder(fresh(), tiny);
    await writeJson(join(whole, 'vae', 'config.json'), scaled);
    for (const vae of [alone, whole, join(alone, 'diffusion_pytorch_model.safetensors')]) {
      expect((await opened(vae)).config).toMatchObject({ scaling_factor: 0.5, shift_factor: 0.25 });
    }
  });

  test("accepts a file without a config in any naming, and keeps the model's scaling factor", async () => {
    const ldm = Object.fromEntries(
      Object.entries(checkpoint(tiny)).filter(([name]) => name.startsWith('first_stage_model.')),
    );
    const files = [
      ldm,
      renamed(ldm, (name) => name.slice('first_stage_model.'.length)),
      canonical(tiny.vae),
      checkpoint(tiny),
    ];
    for (const tensors of files) {
      const { config } = await opened(await writeSparse(join(fresh(), 'vae.safetensors'), tensors));
      expect(config).toMatchObject({ scaling_factor: 0.18215 });
    }
    const model = await writeFolder(fresh(), tiny);
    await writeJson(join(model, 'vae', 'config.json'), scaled);
    const { autoencoder } = await openModel(model, {
      vae: await writeSparse(join(fresh(), 'vae.safetensors'), ldm),
    });
    expect(autoencoder.config).toMatchObject({ scaling_factor: 0.5 });
  });

  test('replaces a missing autoencoder and must fit the U-Net', async () => {
    const rest = Object.fromEntries(
      Object.entries(checkpoint(tiny)).filter(([name]) => !name.startsWith('first_stage_model.')),
    );
    const path = await writeSparse(join(fresh(), 'model.safetensors'), rest);
    const vae = await writeComponent(fresh(), VAE, canonical(tiny.vae));
    expect((await openModel(path, { vae })).autoencoder.config).toMatchObject({ latent_channels: 4 });
    await writeJson(join(vae, 'config.json'), { ...VAE, latent_channels: 16 });
    await expect(openModel(path, { vae })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringContaining('16'),
    });
    await expect(openModel(path, { vae: join(folder, 'nowhere') })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
    await expect(openModel(path, { vae: path })).rejects.toMatchObject({ code: 'UNSUPPORTED_MODEL' });
  });
});
