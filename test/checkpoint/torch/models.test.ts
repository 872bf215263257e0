import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { requirements } from '../../../lib/binding/module.js';
import type { ModuleKind, NativeConfig, WeightPlan } from '../../../lib/binding/types.js';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import type { OpenModelOptions } from '../../../lib/checkpoint/model-descriptor.js';
import { openModel } from '../../../lib/families/registry.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../../lib/pipelines/model/load-options.js';
import { inspectModel } from '../../../lib/tools/inspect.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
import {
  type RawTensor,
  type TinyModel,
  writeFolder,
  writeSafetensors,
  writeSingleFile,
} from '../../support/tiny-models.js';
import { tensorsOf, writeTorch } from '../../support/torch/checkpoint.js';

const folder = scratch();

/** Returns all parameters of a model with their descriptions and bytes. */
async function contents(path: string, options: OpenModelOptions = {}): Promise<unknown> {
  const { textEncoders, unet, autoencoder, family } = await openModel(path, options);
  const parts = [
    ...textEncoders.map(({ config, weights }) => ({ kind: 'text_encoder' as ModuleKind, config, weights })),
    { ...unet, kind: 'unet' as ModuleKind },
    { ...autoencoder, kind: autoencoder.kind as ModuleKind },
  ];
  const described = parts.map(({ kind, config, weights }) => ({
    config,
    weights: bytesOf(weights.plan(requirements(kind as ModuleKind, { ...config } as NativeConfig))),
  }));
  return { family, described };
}

function bytesOf({ files, entries }: WeightPlan): unknown[] {
  const read = files.map((file) => readFileSync(file));
  return entries.map(({ source, ...entry }) => {
    const bytes = read[source.file]!.subarray(source.offset, source.offset + source.length);
    return {
      ...entry,
      type: source.type,
      shape: source.shape,
      digest: createHash('md5').update(bytes).digest('hex'),
    };
  });
}

async function draw(path: string, load: LoadPipelineOptions = {}): Promise<number[]> {
  const pipeline = await Pipeline.load(path, load);
  try {
    const { images } = await pipeline.generate({ prompt: 'a fox', seed: 3, steps: 2, width: 32, height: 32 });
    return [...images[0]!.data];
  } finally {
    await pipeline.dispose();
  }
}

describe('a .ckpt checkpoint of Stable Diffusion', () => {
  test.each<TinyModel>(['sd2'])('equals its safetensors file for %s', async (model) => {
    const safe = writeSingleFile(model, join(folder, `${model}.safetensors`));
    const torch = writeTorch(join(folder, `${model}.ckpt`), await tensorsOf(safe));
    expect(await contents(torch)).toEqual(await contents(safe));
  });

  test('generates the same image in both forms, from memory and mapped from the file', async () => {
    const safe = writeSingleFile('sd1', join(folder, 'draw.safetensors'));
    const tensors = await tensorsOf(safe);
    const picture = await draw(safe);
    expect(await draw(writeTorch(join(folder, 'draw.ckpt'), tensors), { memory: 'lean' })).toEqual(picture);
    expect(await draw(writeTorch(join(folder, 'old.pt'), tensors, 'legacy'))).toEqual(picture);
  });
});

describe('the moving average', () => {
  /** A U-Net's averages under LitEma's names, filled with ones. */
  async function averaged(path: string): Promise<Map<string, RawTensor>> {
    const tensors = await tensorsOf(writeSingleFile('sd1', path));
    for (const [name, { dtype, shape, data }] of [...tensors]) {
      if (!name.startsWith('model.')) continue;
      const dotless = `model_ema.${name.slice('model.'.length).replaceAll('.', '')}`;
      tensors.set(dotless, { dtype, shape, data: Buffer.alloc(data.length, 0x3c) });
    }
    return tensors;
  }

  test('is loaded on request only', async () => {
    const path = join(folder, 'ema.safetensors');
    const tensors = await averaged(path);
    writeSafetensors(path, tensors);
    const torch = writeTorch(join(folder, 'ema.ckpt'), tensors);
    expect(await contents(torch, { ema: true })).toEqual(await contents(path, { ema: true }));
    const plain = (await openModel(torch)).unet.weights.parameter('conv_in.weight').tensor;
    expect(readFileSync(torch)[plain.offset]).not.toBe(0x3c);
    const { weights } = (await openModel(path, { ema: true })).unet;
    const { tensor } = weights.parameter('conv_in.weight');
    expect(tensor.name).toBe('model.diffusion_model.input_blocks.0.0.weight');
    expect(readFileSync(path)[tensor.offset]).toBe(0x3c);
    const found = await inspectModel(path, { ema: true });
    expect(found.ignored.map(({ name }) => name).filter((name) => name.startsWith('model_ema'))).toEqual([
      'model_ema.decay',
      'model_ema.num_updates',
    ]);
  });

  test('is rejected if it is ambiguous or has another shape', async () => {
    const one = { dtype: 'F32', shape: [1], data: Buffer.alloc(4) };
    const write = (tensors: Record<string, RawTensor>): string => {
      writeSafetensors(join(folder, 'odd.safetensors'), new Map(Object.entries(tensors)));
      return join(folder, 'odd.safetensors');
    };
    const twice = write({ 'model.a.b1.w': one, 'model.a.b.1.w': one, 'model_ema.ab1w': one });
    await expect(openWeights(twice, { ema: true })).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/"model\.a\.b1\.w" too/),
    });
    const other = write({ 'model.a.w': one, 'model_ema.aw': { ...one, shape: [1, 1] } });
    await expect(openWeights(other, { ema: true })).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  test('of a separate autoencoder has names without "model."', async () => {
    const one = (value: number): RawTensor => ({ dtype: 'U8', shape: [1], data: Buffer.of(value) });
    const path = join(folder, 'vq.safetensors');
    writeSafetensors(
      path,
      new Map([
        ['model_ema.encoderconv_inweight', one(2)],
        ['encoder.conv_in.weight', one(1)],
      ]),
    );
    const { tensors } = await openWeights(path, { ema: true });
    expect([...tensors.keys()]).toEqual(['encoder.conv_in.weight']);
    expect(readFileSync(path)[tensors.get('encoder.conv_in.weight')!.offset]).toBe(2);
  });

  test('is not an option of folders', async () => {
    const path = writeFolder('sd1', join(folder, 'no-ema'));
    await expect(openModel(path, { ema: true })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(openModel(path, { ema: 1 as unknown as boolean })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});

describe('a folder with PyTorch files', () => {
  /** Converts the weights of a folder into `.bin` files. */
  async function toBin(path: string, keep = false): Promise<string> {
    for (const file of await readdir(path, { recursive: true })) {
      if (!file.endsWith('.safetensors')) continue;
      const name = file.replace(
        'model.safetensors',
        file.startsWith('text') ? 'pytorch_model.bin' : 'model.bin',
      );
      writeTorch(join(path, name), await tensorsOf(join(path, file)));
      if (!keep) await rm(join(path, file));
    }
    return path;
  }

  test('is the same model; safetensors files next to them have precedence', async () => {
    const safe = writeFolder('sd1', join(folder, 'safe'));
    const torch = await toBin(writeFolder('sd1', join(folder, 'bin')));
    expect(await contents(torch)).toEqual(await contents(safe));
    const both = await toBin(writeFolder('sd1', join(folder, 'both')), true);
    const { unet } = await openModel(both);
    expect(unet.weights.parameter('conv_in.weight').tensor.file).toMatch(/\.safetensors$/);
  });

  test('is loaded in the requested variant', async () => {
    const path = await toBin(writeFolder('sd1', join(folder, 'variant')), true);
    const bin = join(path, 'unet', 'diffusion_pytorch_model.bin');
    await rename(bin, bin.replace('.bin', '.fp16.bin'));
    const { unet } = await openModel(path, { variant: 'fp16' });
    expect(unet.weights.parameter('conv_in.weight').tensor.file).toMatch(/fp16\.bin$/);
  });

  test('reads an autoencoder from a .vae.pt', async () => {
    const path = writeFolder('sd1', join(folder, 'with-vae'));
    const whole = await tensorsOf(writeSingleFile('sd1', join(folder, 'for-vae.safetensors')));
    const prefix = 'first_stage_model.';
    const vae = [...whole]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]): [string, RawTensor] => [name.slice(prefix.length), tensor]);
    const file = join(folder, 'other', 'nice.vae.pt');
    await mkdir(dirname(file));
    writeTorch(file, new Map(vae));
    expect((await openModel(path, { vae: file })).autoencoder.weights.where).toBe(file);
    const found = await inspectModel(file);
    expect(found).toMatchObject({
      form: 'component',
      components: [{ kind: 'autoencoder_kl', dialect: 'ldm' }],
    });
  });
});
