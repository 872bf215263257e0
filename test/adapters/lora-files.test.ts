/** LoRA files: a call applies any file, reports a warning, or rejects it with a one-sentence error. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLora } from '../../lib/adapters/lora-file.js';
import { readLoraKey } from '../../lib/adapters/lora-keys.js';
import { matchLora } from '../../lib/adapters/lora-patches.js';
import { modelLayers } from '../../lib/adapters/model-layers.js';
import { openModel } from '../../lib/families/registry.js';
import { adaptedModules } from '../../lib/families/shared/unet/lora-target.js';
import { defaultLimits, jobSchemas } from '../../lib/jobs/schemas.js';
import type { WeightPatch } from '../../lib/modules/weight-patch.js';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import { removeFolders, temporaryFolder, tensorOf, writeLora, writeWithMetadata } from '../support/lora.js';
import { type RawTensor, type TinyModel, writeFolder } from '../support/tiny-models.js';
import { tensorsOf, writeTorch } from '../support/torch/checkpoint.js';

let pipeline: Pipeline;
const folders = {} as Record<TinyModel, string>;

beforeAll(async () => {
  for (const model of ['sd1', 'sd2', 'sdxl', 'inpaint'] as const)
    folders[model] = writeFolder(model, temporaryFolder());
  pipeline = await Pipeline.load(folders.sd1, { threads: 2 });
});
afterAll(async () => {
  await pipeline.dispose();
  removeFolders();
});

const SMALL = { prompt: 'a red apple', steps: 1, width: 32, height: 32, seed: 5 } as const;
const generate = (path: string) => pipeline.generate({ ...SMALL, loras: [{ path }] });

const Q = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q';
const zeros = (...shape: number[]): RawTensor =>
  tensorOf(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape, 'F32');
const scalar = (value: number, shape: readonly number[] = []): RawTensor =>
  tensorOf(Float32Array.of(value), shape, 'F32');

function written(
  tensors: Readonly<Record<string, RawTensor>>,
  metadata: Readonly<Record<string, string>> = {},
  name = 'lora.safetensors',
): string {
  const path = join(temporaryFolder(), name);
  writeWithMetadata(path, new Map(Object.entries(tensors)), metadata);
  return path;
}

async function matched(model: TinyModel, path: string) {
  const source = await openModel(folders[model]);
  const target = { name: model, family: model, textWidth: source.unet.config.cross_attention_dim };
  return matchLora(await readLora(path), modelLayers(adaptedModules(source)), target);
}

async function matchedShape(model: TinyModel, parameter: string): Promise<readonly number[]> {
  const modules = adaptedModules(await openModel(folders[model]));
  return modules[0]!.requirements.concat(modules[1]!.requirements).find(({ name }) => name === parameter)!
    .shape;
}

describe('LoRA tensor names', () => {
  it.each([
    ['lora_unet_mid_block_x.lora_down.weight', 'lora_unet_mid_block_x', 'lora_down'],
    ['lora_te_x.lora_up.weight', 'lora_te_x', 'lora_up'],
    ['lora_te_x.alpha', 'lora_te_x', 'alpha'],
    ['lora_unet_x.diff', 'lora_unet_x', 'diff'],
    ['lora_unet_x.hada_w1_a', 'lora_unet_x', 'hada_w1_a'],
    ['lora_unet_x.lokr_w2', 'lora_unet_x', 'lokr_w2'],
    ['lora_unet_x.dora_scale', 'lora_unet_x', 'dora_scale'],
    ['a.lora_magnitude_vector', 'a', 'lora_magnitude_vector'],
    ['a.lora_magnitude_vector.default.weight', 'a', 'lora_magnitude_vector'],
    ['unet.a.to_q.lora_A.weight', 'unet.a.to_q', 'lora_down'],
    ['unet.a.to_q.lora_B.style.weight', 'unet.a.to_q', 'lora_up'],
    ['base_model.model.a.to_q.lora_A.default.weight', 'a.to_q', 'lora_down'],
    ['unet.a.to_q.lora.up.weight', 'unet.a.to_q', 'lora_up'],
    ['a.attn1.processor.to_v_lora.down.weight', 'a.attn1.to_v', 'lora_down'],
    ['a.attn1.processor.to_out_lora.up.weight', 'a.attn1.to_out.0', 'lora_up'],
    ['text_encoder.b.self_attn.to_k_lora.up.weight', 'text_encoder.b.self_attn.k_proj', 'lora_up'],
    ['text_encoder.b.self_attn.to_out_lora.up.weight', 'text_encoder.b.self_attn.out_proj', 'lora_up'],
    ['text_encoder.b.q_proj.lora_linear_layer.down.weight', 'text_encoder.b.q_proj', 'lora_down'],
  ])('reads %s as a factor of its module', (name, layer, role) => {
    expect(readLoraKey(name)).toEqual({ layer, role });
  });

  it('returns nothing for a tensor that belongs to no LoRA', () => {
    for (const name of ['conv_in.weight', 'alpha', 'bundle_emb.x.string_to_param.*', 'emb_params'])
      expect(readLoraKey(name)).toBeNull();
  });
});

const NORM = 'lora_unet_mid_block_resnets_0_norm1';

describe('LoRA files that cannot be applied', () => {
  const good = () => ({ [`${Q}.lora_down.weight`]: zeros(2, 32), [`${Q}.lora_up.weight`]: zeros(32, 2) });

  it.each([
    ["PEFT's OFT", 'unet.x.oft_R.default.weight'],
    ["PEFT's IA3", 'unet.x.ia3_l.default'],
    ['GLoRA', `${Q}.a1.weight`],
  ])('rejects an unsupported form and names it: %s', async (form, key) => {
    await expect(generate(written({ ...good(), [key]: zeros(4, 4) }))).rejects.toMatchObject({
      code: 'UNSUPPORTED_ADAPTER',
      message: expect.stringContaining(form),
    });
  });

  it.each([
    ['a magnitude of another shape', 'ADAPTER_MISMATCH', { [`${Q}.dora_scale`]: zeros(4, 4) }],
    ['a core of another shape', 'ADAPTER_MISMATCH', { [`${Q}.lora_mid.weight`]: zeros(4, 4) }],
    ['a flag that is no number', 'INVALID_FILE', { [`${Q}.on_input`]: zeros(4, 4) }],
    ['half of a LoHa', 'INVALID_FILE', { [`${Q}.hada_w1_a`]: zeros(4, 4) }],
    ['half of a LoKr', 'INVALID_FILE', { [`${Q}.lokr_w1`]: zeros(4, 4) }],
    ['a LoRA and a rotation for one layer', 'INVALID_FILE', { [`${Q}.oft_blocks`]: zeros(8, 4, 4) }],
    ['a norm of another size', 'ADAPTER_MISMATCH', { [`${NORM}.w_norm`]: zeros(4, 4) }],
  ] as readonly [string, string, Record<string, RawTensor>][])('rejects %s', async (_, code, tensors) => {
    const path = written({ ...good(), ...tensors });
    await expect(generate(path)).rejects.toMatchObject({ code, message: expect.stringContaining(path) });
  });

  it('rejects rotations of blocks that do not fill the layer', async () => {
    for (const shape of [
      [4, 4],
      [3, 4, 4],
      [8, 4, 3],
      [1, 7, 4, 4],
    ])
      await expect(generate(written({ [`${Q}.oft_blocks`]: zeros(...shape) }))).rejects.toMatchObject({
        code: 'ADAPTER_MISMATCH',
      });
  });

  it('rejects a missing file, a folder and a damaged file', async () => {
    await expect(generate('/nowhere/a.safetensors')).rejects.toMatchObject({
      code: 'ADAPTER_NOT_FOUND',
      message: expect.stringContaining('/nowhere/a.safetensors does not exist'),
    });
    await expect(generate(temporaryFolder())).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' });
    const path = join(temporaryFolder(), 'a.safetensors');
    writeFileSync(path, 'no weights at all');
    await expect(generate(path)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it('rejects a file made for another family and names both families', async () => {
    await expect(generate(writeLora('sdxl', 'attention'))).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
      message: expect.stringMatching(/does not fit .*sd1.*width 320.*width 128/),
    });
    const large = (inputs: number) =>
      written({
        [`${Q.replace('attn1_to_q', 'attn2_to_k')}.lora_down.weight`]: zeros(2, inputs),
        [`${Q.replace('attn1_to_q', 'attn2_to_k')}.lora_up.weight`]: zeros(32, 2),
      });
    await expect(generate(large(2048))).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
      message: expect.stringContaining('trained for SDXL, but this model is'),
    });
  });

  it('names both families where only the layers tell them', async () => {
    const tagged = async (path: string, trained: string) =>
      expect(generate(path)).rejects.toMatchObject({
        code: 'ADAPTER_MISMATCH',
        message: expect.stringMatching(new RegExp(`trained for ${trained}, but this model is sd1`)),
      });
    const layer = (name: string) => ({
      [`${name}.lora_down.weight`]: zeros(2, 8),
      [`${name}.lora_up.weight`]: zeros(8, 2),
    });
    await tagged(written(layer('lora_te1_text_model_encoder_layers_11_mlp_fc1')), 'sdxl');
    await tagged(written(layer('lora_unet_double_blocks_0_img_attn_qkv')), 'a diffusion transformer');
  });

  it('rejects a file none of whose weights match a module', async () => {
    for (const path of [
      written({
        'lora_unet_nothing.lora_down.weight': zeros(2, 2),
        'lora_unet_nothing.lora_up.weight': zeros(2, 2),
      }),
      join(folders.sd1, 'unet', 'diffusion_pytorch_model.safetensors'),
      written({ [`${Q}.alpha`]: scalar(1) }),
    ]) {
      await expect(generate(path), path).rejects.toMatchObject({
        code: 'ADAPTER_MISMATCH',
        message: expect.stringContaining('does not fit the model'),
      });
    }
  });

  it('rejects a missing factor, a factor of another shape and an alpha that is not a number', async () => {
    const down = `${Q}.lora_down.weight`;
    const bad: [string, Record<string, RawTensor>][] = [
      ['INVALID_FILE', { [down]: zeros(2, 32) }],
      ['INVALID_FILE', { [`${Q}.lora_up.weight`]: zeros(32, 2) }],
      ['ADAPTER_MISMATCH', { ...good(), [down]: zeros(3, 32) }],
      ['ADAPTER_MISMATCH', { ...good(), [down]: zeros(2, 64) }],
      ['ADAPTER_MISMATCH', { ...good(), [down]: zeros(2, 32, 3, 3) }],
      ['ADAPTER_MISMATCH', { ...good(), [down]: zeros() }],
      ['ADAPTER_MISMATCH', { ...good(), [down]: zeros(0, 32) }],
      ['INVALID_FILE', { ...good(), [`${Q}.alpha`]: zeros(2) }],
      ['INVALID_FILE', { ...good(), [`${Q}.alpha`]: scalar(Number.NaN) }],
    ];
    for (const [code, tensors] of bad)
      await expect(generate(written(tensors)), JSON.stringify(tensors[down])).rejects.toMatchObject({ code });
    // No patches remain, and the pipeline still works.
    expect(pipeline.memory().unet!.patches).toBe(0);
    await generate(written(good()));
  });

  it('rejects loras in a job, because paths would refer to files of the server', () => {
    const schema = jobSchemas(defaultLimits)['text-to-image'];
    expect(schema.safeParse({ prompt: 'a' }).success).toBe(true);
    expect(schema.safeParse({ prompt: 'a', loras: [{ path: '/etc/passwd' }] }).success).toBe(false);
  });
});

describe('LoRA files that fit in part', () => {
  it('warns with the number of unmatched tensors and the name of the first', async () => {
    const extra = {
      'lora_te2_nothing.lora_down.weight': zeros(2, 2),
      'lora_te2_nothing.lora_up.weight': zeros(2, 2),
      'lora_te2_nothing.alpha': scalar(1),
      // An embedding that the file bundles is no part of the LoRA.
      'bundle_emb.style.clip_l': zeros(1, 128),
    };
    const path = writeLora('sd1', 'attention', 'kohya', { extra });
    const { warnings } = await generate(path);
    expect(warnings).toEqual([
      {
        code: 'ADAPTER_KEYS_IGNORED',
        message: expect.stringMatching(/^3 tensors of .*: lora_te2_nothing/),
      },
    ]);
  });

  it('reads magnitudes of diffusers and PEFT as those of output rows, whatever their shape', async () => {
    // A square convolution, whose rows and columns cannot be told apart by their number.
    const conv = 'mid_block.resnets.0.conv1';
    const [width] = (await matchedShape('sd1', `${conv}.weight`)) as [number];
    const factors = (down: string, up: string) => ({
      [down]: zeros(2, width, 3, 3),
      [up]: zeros(width, 2, 1, 1),
    });
    const kohya = `lora_unet_${conv.replaceAll('.', '_')}`;
    const magnitude = { ...zeros(1, width, 1, 1) };
    const axisOf = async (path: string) => {
      const [patch] = (await matched('sd1', path)).patches.unet;
      return patch && 'add' in patch.change ? patch.change.magnitude?.axis : undefined;
    };
    const peft = written({
      ...factors(`unet.${conv}.lora_A.weight`, `unet.${conv}.lora_B.weight`),
      [`unet.${conv}.lora_magnitude_vector`]: magnitude,
    });
    expect(await axisOf(peft)).toBe('output');
    const lycoris = written({
      ...factors(`${kohya}.lora_down.weight`, `${kohya}.lora_up.weight`),
      [`${kohya}.dora_scale`]: magnitude,
    });
    expect(await axisOf(lycoris)).toBe('input');
  });

  it("scales PEFT's LoHa and LoKr by the alpha and rank of their config", async () => {
    const layer = 'unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
    const [width] = (await matchedShape('sd1', `${layer.slice(5)}.weight`)) as [number];
    const loha = { w1_a: [width, 4], w1_b: [4, width], w2_a: [width, 4], w2_b: [4, width] };
    const lokr = { w1: [2, 2], w2: [width / 2, width / 2] };
    const scaleOf = async (prefix: string, shapes: Readonly<Record<string, number[]>>) => {
      const tensors = Object.entries(shapes).map(([role, shape]) => [
        `${layer}.${prefix}_${role}`,
        zeros(...shape),
      ]);
      const metadata = { lora_adapter_metadata: JSON.stringify({ 'unet.r': 4, 'unet.alpha': 10 }) };
      const { patches } = await matched('sd1', written(Object.fromEntries(tensors), metadata));
      return patches.unet[0]!.scale;
    };
    expect(await scaleOf('hada', loha)).toBe(10 / 4);
    expect(await scaleOf('lokr', lokr)).toBe(10 / 4);
  });

  it('changes only the U-Net if the file contains nothing for the text encoder', async () => {
    const path = writeLora('sd1', 'attention', 'peft', { only: (component) => component === 'unet' });
    const { patches, ignored } = await matched('sd1', path);
    expect([patches.unet.length > 0, patches.text_encoder, ignored]).toEqual([true, [], []]);
    expect((await generate(path)).warnings).toEqual([]);
  });

  it('changes the first four input channels of an inpainting model', async () => {
    const { patches, ignored } = await matched('inpaint', writeLora('sd1', 'whole'));
    expect(ignored).toEqual([]);
    expect(patches.unet.find(({ target }) => target === 'conv_in.weight')).toMatchObject({ columns: [0, 4] });
    await using inpaint = await Pipeline.load(folders.inpaint, { threads: 2 });
    await inpaint.generate({ ...SMALL, loras: [{ path: writeLora('sd1', 'whole') }] });
  });
});

describe('LoRA scale', () => {
  const [down, up] = [`${Q}.lora_down.weight`, `${Q}.lora_up.weight`];
  const factors = { [down]: zeros(4, 32), [up]: zeros(32, 4) };
  const PEFT = 'unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
  const peft = { [`${PEFT}.lora_A.weight`]: zeros(4, 32), [`${PEFT}.lora_B.weight`]: zeros(32, 4) };
  const stated = (fields: object) => ({ lora_adapter_metadata: JSON.stringify(fields) });
  const scaleOf = async (path: string): Promise<number> => {
    const [patch] = (await matched('sd1', path)).patches.unet as [WeightPatch];
    return patch.scale;
  };

  it('is alpha / rank, and 1 if alpha is missing or 0', async () => {
    expect(await scaleOf(written(factors))).toBe(1);
    for (const [alpha, scale] of [
      [2, 0.5],
      [0, 1],
      [8, 2],
    ] as const)
      for (const shape of [[], [1]])
        expect(await scaleOf(written({ ...factors, [`${Q}.alpha`]: scalar(alpha, shape) }))).toBe(scale);
  });

  it("follows diffusers' metadata for each component, including rank-stabilized scales and patterns", async () => {
    expect(await scaleOf(written(peft, stated({ 'unet.lora_alpha': 8, 'text_encoder.lora_alpha': 2 })))).toBe(
      2,
    );
    expect(await scaleOf(written(peft, stated({ 'text_encoder.lora_alpha': 2 })))).toBe(1);
    expect(await scaleOf(written(peft, stated({ 'unet.lora_alpha': 8, 'unet.use_rslora': true })))).toBe(4);
    const pattern = { 'unet.lora_alpha': 8, 'unet.alpha_pattern': { 'attn1.to_q': 2, to_k: 16 } };
    expect(await scaleOf(written(peft, stated(pattern)))).toBe(0.5);
    for (const lies of ['[', '1', 'null', '{"unet.lora_alpha":"8"}'])
      expect(await scaleOf(written(peft, { lora_adapter_metadata: lies }))).toBe(1);
    await expect(generate(written(peft, stated({ 'unet.use_dora': true })))).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringContaining('without its magnitudes'),
    });
  });

  it("follows PEFT's adapter_config.json next to its file", async () => {
    const path = written(
      {
        'base_model.model.mid_block.attentions.0.proj_in.lora_A.weight': zeros(4, 64),
        'base_model.model.mid_block.attentions.0.proj_in.lora_B.weight': zeros(64, 4),
      },
      {},
      'adapter_model.safetensors',
    );
    expect(await scaleOf(path)).toBe(1);
    writeFileSync(join(dirname(path), 'adapter_config.json'), JSON.stringify({ r: 4, lora_alpha: 6 }));
    expect(await scaleOf(path)).toBe(1.5);
  });
});

describe('other LoRA formats', () => {
  it('applies PyTorch files like safetensors files', async () => {
    const path = writeLora('sd1', 'attention');
    const { images } = await generate(path);
    const torch = join(temporaryFolder(), 'lora.pt');
    writeTorch(torch, await tensorsOf(path));
    const { images: same, warnings } = await generate(torch);
    expect(same[0]!.data).toEqual(images[0]!.data);
    expect(warnings).toEqual([]);
    const renamed = join(temporaryFolder(), 'sub', 'lora.bin');
    mkdirSync(dirname(renamed));
    renameSync(torch, renamed);
    expect((await generate(renamed)).images[0]!.data).toEqual(images[0]!.data);
  });

  it('adds whole weights from files of differences', async () => {
    const full = written({ [`${Q}.diff`]: zeros(32, 32) });
    expect((await matched('sd1', full)).patches.unet).toMatchObject([
      { scale: 1, change: { add: { full: {} } } },
    ]);
    await generate(full);
  });

  it('changes query, key and value by the thirds of one factor under OpenCLIP names', async () => {
    const place = 'lora_te_transformer_resblocks_1';
    const path = written({
      [`${place}_attn_in_proj.lora_down.weight`]: zeros(2, 128),
      [`${place}_attn_in_proj.lora_up.weight`]: zeros(384, 2),
      [`${place}_mlp_c_fc.lora_down.weight`]: zeros(2, 128),
      [`${place}_mlp_c_fc.lora_up.weight`]: zeros(256, 2),
    });
    const { patches, ignored } = await matched('sd2', path);
    expect(ignored).toEqual([]);
    const layer = 'text_model.encoder.layers.1';
    expect(patches.text_encoder.map(({ target, factorRows }) => [target, factorRows])).toEqual([
      [`${layer}.self_attn.q_proj.weight`, [0, 128]],
      [`${layer}.self_attn.k_proj.weight`, [128, 256]],
      [`${layer}.self_attn.v_proj.weight`, [256, 384]],
      [`${layer}.mlp.fc1.weight`, undefined],
    ]);
  });
});
