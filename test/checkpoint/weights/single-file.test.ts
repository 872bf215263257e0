import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { requirements } from '../../../lib/binding/module.js';
import type { ModuleKind, NativeConfig, StorageType, WeightPlan } from '../../../lib/binding/types.js';
import type { ModelSource, OpenModelOptions } from '../../../lib/checkpoint/model-descriptor.js';
import { SafelightError } from '../../../lib/errors.js';
import { openModel } from '../../../lib/families/registry.js';
import { sd2 as sd2Family } from '../../../lib/families/sd2.js';
import { withPrediction } from '../../../lib/families/shared/unet/unet-model.js';
import { checkpoint, reference } from '../../support/checkpoint/reference-names.js';
import { type FakeTensor, scratch, writeSparse } from '../../support/checkpoint/sparse-files.js';

const folder = scratch();
const path = join(folder, 'model.safetensors');
const sd1 = checkpoint(reference.tiny_sd1!);
const sd2 = checkpoint(reference.tiny_sd2!);
const sdxl = checkpoint(reference.tiny_sdxl!);
const CONV_IN = 'model.diffusion_model.input_blocks.0.0.weight';

async function open(tensors: Record<string, FakeTensor>, options?: OpenModelOptions): Promise<ModelSource> {
  return openModel(await writeSparse(path, tensors), options);
}

/** Returns every weight plan of the model, as it would be loaded. */
function plans({ textEncoders, unet, autoencoder }: ModelSource, storage?: StorageType): WeightPlan[] {
  const parts: [ModuleKind, typeof unet | typeof autoencoder | (typeof textEncoders)[number]][] = [
    ...textEncoders.map((encoder) => ['text_encoder', encoder] as [ModuleKind, typeof encoder]),
    ['unet', unet],
    ['autoencoder_kl', autoencoder],
  ];
  return parts.map(([kind, { config, weights }]) =>
    weights.plan(requirements(kind, { ...config } as NativeConfig), storage),
  );
}

async function failure(
  tensors: Record<string, FakeTensor>,
  options?: OpenModelOptions,
): Promise<SafelightError> {
  try {
    plans(await open(tensors, options));
  } catch (error) {
    expect(error).toBeInstanceOf(SafelightError);
    return error as SafelightError;
  }
  throw new Error('it was not rejected');
}

const without = (tensors: Record<string, FakeTensor>, ...prefixes: string[]): Record<string, FakeTensor> =>
  Object.fromEntries(
    Object.entries(tensors).filter(([name]) => !prefixes.some((prefix) => name.startsWith(prefix))),
  );

/** A sample that covers every kind of position: the step is coprime to the number of a block's tensors. */
function every<T>(step: number, all: readonly T[]): T[] {
  return all.filter((_, i) => i % step === 0);
}

describe('a single file', () => {
  test('lists additional tensors of real files without an error', async () => {
    const extras: Record<string, FakeTensor> = {
      alphas_cumprod: { dtype: 'F32', shape: [1000] },
      'cond_stage_model.transformer.text_model.embeddings.position_ids': { dtype: 'I64', shape: [1, 77] },
      'cond_stage_model.logit_scale': { dtype: 'F32', shape: [] },
      'model_ema.diffusion_modelinput_blocks00weight': { dtype: 'F32', shape: [32, 4, 3, 3] },
      'model_ema.num_updates': { dtype: 'I32', shape: [] },
      'first_stage_model.loss.logvar': { dtype: 'F32', shape: [] },
      'first_stage_model.loss.discriminator.main.0.weight': { dtype: 'F32', shape: [64, 3, 4, 4] },
      odd: { dtype: 'F4', shape: [2] },
    };
    const source = await open({ ...extras, ...sd1 });
    expect(source.ignored.map(({ name, dtype, shape }) => [name, { dtype, shape }])).toEqual(
      Object.entries(extras),
    );
    expect(plans(source).flatMap(({ entries }) => entries)).toHaveLength(Object.keys(sd1).length);
  });

  test('of SD2 leaves the unused projection out', async () => {
    const extras = {
      'cond_stage_model.model.text_projection': { dtype: 'F16', shape: [128, 128] },
      'cond_stage_model.model.logit_scale': { dtype: 'F32', shape: [] },
    };
    const source = await open({ ...sd2, ...extras });
    expect(source.ignored.map(({ name }) => name)).toEqual(Object.keys(extras));
  });

  test('may omit text_model. in the names of its text encoder', async () => {
    const short = Object.fromEntries(
      Object.entries(sd1).map(([name, tensor]) => [name.replace('.text_model.', '.'), tensor]),
    );
    const source = await open(short);
    expect(source.ignored).toEqual([]);
    expect(plans(source)[0]?.entries[0]?.name).toMatch(/^text_model\./);
  });

  test('has the layer, norm, padding and pooling of each text encoder by family', async () => {
    const encodersOf = async (tensors: Record<string, FakeTensor>): Promise<unknown[]> =>
      (await open(tensors)).textEncoders.map(({ kind, layer, finalNorm, pooled, padId, tokenizer }) => [
        kind,
        layer,
        finalNorm,
        pooled,
        padId,
        tokenizer,
      ]);
    expect(await encodersOf(sd1)).toEqual([['clip', 2, true, false, 49407, 'standard']]);
    expect(await encodersOf(sd2)).toEqual([['openclip', 2, true, false, 0, 'standard']]);
    expect(await encodersOf(sdxl)).toEqual([
      ['clip', 1, false, false, 49407, 'standard'],
      ['openclip', 2, false, true, 0, 'standard'],
    ]);
  });

  test.each([
    [4, true],
    [9, true],
    [8, true],
    [5, false],
    [7, false],
  ])('with %i input channels is accepted: %s', async (channels, taken) => {
    const tensors = { ...sd1, [CONV_IN]: { dtype: 'F16', shape: [32, channels, 3, 3] } };
    if (taken) expect((await open(tensors)).unet.config.in_channels).toBe(channels);
    else
      expect(await failure(tensors)).toMatchObject({
        code: 'UNSUPPORTED_MODEL',
        message: expect.stringContaining(`${channels} input channels`),
      });
  });
});

describe('the prediction type of a single file', () => {
  const scalar = { dtype: 'F32', shape: [] };

  test('is eps, or v if a tensor marks it, with zero terminal SNR if another does', async () => {
    expect((await open(sd1)).scheduler).toMatchObject({ prediction: 'eps', rescale_zero_snr: false });
    const marked = await open({ ...sdxl, v_pred: scalar, ztsnr: scalar });
    expect(marked.scheduler).toMatchObject({ prediction: 'v', rescale_zero_snr: true });
    expect(marked.ignored).toEqual([]);
  });

  test('is undetermined for SD2 without a marker, unless it is an inpainting model or the user sets it', async () => {
    expect((await open(sd2)).predictionUncertain).toBe(true);
    expect((await open(sd1)).predictionUncertain).toBe(false);
    expect((await open({ ...sd2, v_pred: scalar })).predictionUncertain).toBe(false);
    expect(
      (await open({ ...sd2, [CONV_IN]: { dtype: 'F16', shape: [64, 9, 3, 3] } })).predictionUncertain,
    ).toBe(false);
    expect((await open(sd2, { prediction: 'eps' })).predictionUncertain).toBe(false);
  });

  test("follows the user's option first, and the sample size follows the prediction", async () => {
    const source = await open(sd2);
    // This autoencoder has three levels: one latent position per 4 x 4 pixels.
    expect(source.unet.config.sample_size).toBe(512 / 4);
    const v = withPrediction(source, 'v', sd2Family.definition);
    expect([v.scheduler.prediction, v.unet.config.sample_size, v.predictionUncertain]).toEqual([
      'v',
      768 / 4,
      false,
    ]);
    expect((await open(sd2, { prediction: 'v' })).unet.config.sample_size).toBe(768 / 4);
    expect((await open({ ...sdxl, v_pred: scalar }, { prediction: 'x0' })).scheduler.prediction).toBe('x0');
    expect((await open(sdxl)).unet.config.sample_size).toBe(1024 / 4);
    await expect(open(sd2, { prediction: 'epsilon' as 'eps' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});

describe('a damaged single file', () => {
  test.each([
    ['SD1', sd1],
    ['SD2', sd2],
    ['SDXL', sdxl],
  ])('of %s is rejected by name for any missing tensor', async (_, tensors) => {
    for (const name of every(5, Object.keys(tensors))) {
      const rest = Object.fromEntries(Object.entries(tensors).filter(([other]) => other !== name));
      const error = await failure(rest);
      expect(error.message).toContain(name);
      expect(error.code).toBe('MISSING_TENSOR');
    }
  });

  test('is rejected for any tensor of another shape', async () => {
    for (const [name, { dtype, shape }] of every(9, Object.entries(sd2))) {
      const longer = shape.map((side, i) => (i === shape.length - 1 ? side + 1 : side));
      const error = await failure({ ...sd2, [name]: { dtype, shape: longer } });
      expect(['SHAPE_MISMATCH', 'UNSUPPORTED_MODEL', 'MISSING_TENSOR']).toContain(error.code);
      const more = await failure({ ...sd2, [name]: { dtype, shape: [...shape, 2] } });
      expect(['SHAPE_MISMATCH', 'UNSUPPORTED_MODEL']).toContain(more.code);
      const empty = await failure({ ...sd2, [name]: { dtype, shape: shape.map(() => 0) } });
      expect(['SHAPE_MISMATCH', 'UNSUPPORTED_MODEL']).toContain(empty.code);
    }
  });

  test('is rejected with the wrong shape in both naming schemes', async () => {
    const name = 'model.diffusion_model.output_blocks.3.0.out_layers.3.weight';
    const error = await failure({ ...sd1, [name]: { dtype: 'F16', shape: [32, 31, 3, 3] } });
    expect(error.code).toBe('SHAPE_MISMATCH');
    for (const part of [name, 'up_blocks.1.resnets.1.conv2.weight', '[32, 31, 3, 3]', '[32, 32, 3, 3]'])
      expect(error.message).toContain(part);
  });

  test('is rejected with the whole shape for a fused projection that is not divisible by three', async () => {
    const name = 'cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight';
    const error = await failure({ ...sd2, [name]: { dtype: 'F16', shape: [385, 128] } });
    expect(error).toMatchObject({ code: 'SHAPE_MISMATCH', message: expect.stringContaining('[385, 128]') });
  });

  test.each([
    ['a whole input block', 'model.diffusion_model.input_blocks.1.', 'input_blocks.1'],
    ['a whole output block', 'model.diffusion_model.output_blocks.2.', 'output_blocks.2'],
    ['the last output block', 'model.diffusion_model.output_blocks.3.', 'output_blocks.3'],
    ['its middle block', 'model.diffusion_model.middle_block.', 'middle_block.'],
    ['its downsampling', 'model.diffusion_model.input_blocks.2.0.op', 'input_blocks.2'],
    ['its upsampling', 'model.diffusion_model.output_blocks.1.1.conv', 'output_blocks.1.1.conv'],
    ['a level of its encoder', 'first_stage_model.encoder.down.0.', 'encoder.down.0'],
    ['a level of its decoder', 'first_stage_model.decoder.up.0.', 'decoder.up.0'],
    ['its autoencoder', 'first_stage_model.', 'first_stage_model.'],
    ['its text encoder', 'cond_stage_model.', 'cond_stage_model.'],
    [
      'a layer of its text encoder',
      'cond_stage_model.transformer.text_model.encoder.layers.0.',
      'encoder.layers.0',
    ],
  ])('is rejected without %s', async (_, prefix, named) => {
    expect(await failure(without(sd1, prefix))).toMatchObject({
      code: 'MISSING_TENSOR',
      message: expect.stringContaining(named),
    });
  });

  test('is rejected with its actual kind', async () => {
    const kinds: [name: string, shape: number[], message: RegExp][] = [
      ['double_blocks.0.img_attn.qkv.weight', [9, 3], /Flux/],
      ['model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight', [9, 3], /Stable Diffusion 3/],
      ['lora_unet_mid_block_attentions_0_proj_in.lora_up.weight', [9, 3], /LoRA/],
      ['control_model.zero_convs.0.0.weight', [9, 3, 1, 1], /ControlNet/],
      ['encoder.conv_in.weight', [9, 3, 3, 3], /no U-Net/],
    ];
    for (const [name, shape, message] of kinds) {
      expect(await failure({ [name]: { dtype: 'F16', shape } })).toMatchObject({
        code: 'UNSUPPORTED_MODEL',
        message: expect.stringMatching(message),
      });
    }
    const latentDiffusion = 'model.diffusion_model.input_blocks.1.1.qkv.weight';
    expect(await failure({ ...sd1, [latentDiffusion]: { dtype: 'F16', shape: [96, 32, 1] } })).toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining('input_blocks.1.1.qkv'),
    });
    expect(await failure({ ...sd1, edm_mean: { dtype: 'F32', shape: [4] } })).toMatchObject({
      code: 'UNSUPPORTED_MODEL',
    });
    expect(
      await failure({
        ...sd1,
        'first_stage_model.quantize.embedding.weight': { dtype: 'F32', shape: [16, 4] },
      }),
    ).toMatchObject({ code: 'UNSUPPORTED_MODEL' });
  });
});

describe('the weight plan', () => {
  test("keeps weights in the file's types, norms and biases in f32", async () => {
    const kept: Record<string, StorageType> = {
      F64: 'f32',
      F32: 'f32',
      F16: 'f16',
      BF16: 'bf16',
      F8_E4M3: 'f16',
      F8_E5M2: 'f16',
    };
    for (const [dtype, storage] of Object.entries(kept)) {
      for (const { entries } of plans(await open(checkpoint(reference.tiny_sdxl!, dtype)))) {
        for (const entry of entries) expect(entry.storage).toBe(entry.shape.length === 1 ? 'f32' : storage);
      }
    }
  });

  test('quantizes only matrices with rows of whole blocks', async () => {
    const found = new Map<string, Set<string>>();
    for (const { entries } of plans(await open(sdxl), 'q8_0')) {
      for (const { name, shape, storage } of entries) {
        const kind =
          shape.length === 1
            ? 'vector'
            : shape.length === 4
              ? 'conv'
              : name.includes('embeddings.')
                ? 'embedding'
                : `matrix ${(shape[1] ?? 0) % 32 === 0}`;
        found.set(kind, (found.get(kind) ?? new Set()).add(storage));
      }
    }
    expect(Object.fromEntries([...found].map(([kind, storages]) => [kind, [...storages]]))).toEqual({
      vector: ['f32'],
      conv: ['f16'],
      embedding: ['f16'],
      'matrix true': ['q8_0'],
      'matrix false': ['f16'],
    });
  });

  test('applies any other storage to all but norms and biases', async () => {
    for (const storage of ['f32', 'f16', 'bf16'] as const) {
      for (const { entries } of plans(await open(sd2), storage)) {
        for (const entry of entries) expect(entry.storage).toBe(entry.shape.length === 1 ? 'f32' : storage);
      }
    }
  });

  test('rejects unreadable types, such as I8 without scales', async () => {
    const name = 'model.diffusion_model.middle_block.1.proj_in.weight';
    const int8 = { ...sd1, [name]: { dtype: 'I8', shape: [64, 64, 1, 1] } };
    expect(await failure(int8)).toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining('I8'),
    });
  });
});
