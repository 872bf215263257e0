import { join } from 'node:path';
import { expect, test } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { inspectModel } from '../../lib/tools/inspect.js';
import { canonical, renamed, writeComponent, writeFolder } from '../support/checkpoint/folders.js';
import { checkpoint, reference } from '../support/checkpoint/reference-names.js';
import { scratch, writeJson, writeSparse } from '../support/checkpoint/sparse-files.js';

const folder = scratch();
const tiny = reference.tiny_sdxl!;

test('reports a whole folder with configs, sizes and plans, as plain data', async () => {
  const told = await inspectModel(starterModel, { storage: 'q8_0' });
  expect(JSON.parse(JSON.stringify(told))).toEqual(told);
  expect(told).toMatchObject({
    form: 'folder',
    family: 'sd1',
    problem: null,
    ignored: [],
    scheduler: { prediction: 'v' },
  });
  expect(told.components.map(({ name, dialect }) => [name, dialect])).toEqual([
    ['text_encoder', 'transformers (without text_model.)'],
    ['unet', 'diffusers'],
    ['vae', 'diffusers'],
  ]);
  expect(told.files).toHaveLength(3);
  expect(told.dtypes.map(({ dtype }) => dtype)).toEqual(['F16']);
  const numbers = told.tensors.reduce(
    (sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1),
    0,
  );
  expect(told.components.reduce((sum, { parameters }) => sum + parameters, 0)).toBe(numbers);
  expect(told.components.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(2 * numbers);
  expect(told.components.map(({ plan }) => plan?.entries.some(({ storage }) => storage === 'q8_0'))).toEqual([
    true,
    true,
    true,
  ]);
});

test('reports a single file with its additional tensors', async () => {
  const extra = { alphas_cumprod: { dtype: 'F32', shape: [1000] } };
  const path = await writeSparse(join(folder, 'xl.safetensors'), { ...checkpoint(tiny), ...extra });
  const told = await inspectModel(path);
  expect(told).toMatchObject({ form: 'file', family: 'sdxl', problem: null });
  expect(told.components.map(({ name }) => name)).toEqual(['text_encoder', 'text_encoder_2', 'unet', 'vae']);
  expect(told.ignored.map(({ name }) => name)).toEqual(['alphas_cumprod']);
  expect(told.dtypes.map(({ dtype, tensors }) => [dtype, tensors])).toEqual([
    ['F16', Object.keys(checkpoint(tiny)).length],
    ['F32', 1],
  ]);
});

test('recognizes single components by their tensor names, in either naming', async () => {
  const file = checkpoint(reference.tiny_sd1!);
  const part = (prefix: string): typeof file =>
    renamed(Object.fromEntries(Object.entries(file).filter(([name]) => name.startsWith(prefix))), (name) =>
      name.slice(prefix.length),
    );
  const cases: [tensors: typeof file, kind: string, name: string][] = [
    [part('model.diffusion_model.'), 'unet', 'unet'],
    [part('first_stage_model.'), 'autoencoder_kl', 'vae'],
    [part('cond_stage_model.transformer.'), 'text_encoder', 'text_encoder'],
    [canonical(reference.sdxl!.unet), 'unet', 'unet'],
    [canonical(reference.tiny_sd2!.vae), 'autoencoder_kl', 'vae'],
    [canonical(reference.sdxl!.text_encoders[1]!), 'text_encoder', 'text_encoder'],
  ];
  for (const [i, [tensors, kind, name]] of cases.entries()) {
    const told = await inspectModel(
      await writeSparse(join(folder, `lone-${i}`, 'model.safetensors'), tensors),
    );
    expect(told).toMatchObject({ form: 'component', family: null, ignored: [] });
    expect(told.components).toMatchObject([{ kind, name }]);
    expect(told.components[0]?.plan?.entries).toHaveLength(Object.keys(tensors).length);
  }
  const told = await inspectModel(
    await writeComponent(
      join(folder, 'unet'),
      { _class_name: 'UNet2DConditionModel', ...tiny.unet.config },
      canonical(tiny.unet),
    ),
  );
  expect(told.components).toMatchObject([{ kind: 'unet', config: { cross_attention_dim: 160 } }]);
});

test('reports an unsupported model with the reason and its tensors', async () => {
  const lora = 'lora_unet_mid_block.lora_up.weight';
  const told = await inspectModel(
    await writeSparse(join(folder, 'lora.safetensors'), { [lora]: { dtype: 'F16', shape: [8, 4] } }),
  );
  expect(told).toMatchObject({ form: 'other', components: [], problem: expect.stringMatching(/LoRA/) });
  expect(told.tensors.map(({ name }) => name)).toEqual([lora]);

  const path = await writeFolder(join(folder, 'wrong'), reference.tiny_sd1!);
  await writeJson(join(path, 'unet', 'config.json'), { class_embed_type: 'simple_projection' });
  const wrong = await inspectModel(path);
  expect(wrong.problem).toMatch(/class_embed_type/);
  expect(wrong.components.map(({ name }) => name)).toEqual(['text_encoder', 'vae']);

  const { 'first_stage_model.quant_conv.bias': _, ...rest } = checkpoint(tiny);
  const lacking = await inspectModel(await writeSparse(join(folder, 'lacking.safetensors'), rest));
  expect(lacking.problem).toMatch(/quant_conv\.bias/);
  expect(lacking.components.map(({ plan }) => plan === null)).toEqual([false, false, false, true]);
});

test('rejects files that cannot be read', async () => {
  await expect(inspectModel(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  await writeJson(join(folder, 'empty', 'readme.json'), {});
  await expect(inspectModel(join(folder, 'empty'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  await expect(inspectModel(await writeJson(join(folder, 'bad.safetensors'), {}))).rejects.toMatchObject({
    code: 'INVALID_FILE',
  });
});
