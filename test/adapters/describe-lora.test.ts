/** Descriptions of LoRA files: form, family, rank, targets, trigger words and hash. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { describeLora, isLora } from '../../lib/adapters/describe-lora.js';
import { readLora } from '../../lib/adapters/lora-file.js';
import { loraHash } from '../../lib/adapters/lora-hash.js';
import { triggerWords } from '../../lib/adapters/trigger-words.js';
import { loraFamily } from '../../lib/families/shared/unet/lora-family.js';
import {
  type LoraModel,
  type LoraName,
  type Naming,
  removeFolders,
  temporaryFolder,
  tensorOf,
  writeLora,
  writeWithMetadata,
} from '../support/lora.js';
import { writeLycoris, writePeftDora } from '../support/lycoris.js';
import type { RawTensor } from '../support/tiny-models.js';
import { writeTorch } from '../support/torch/checkpoint.js';

afterAll(removeFolders);

async function described(path: string) {
  const file = await readLora(path);
  return describeLora(file, loraFamily(file));
}

const zeros = (...shape: number[]): RawTensor =>
  tensorOf(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape, 'F32');

function written(
  tensors: Readonly<Record<string, RawTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): string {
  const path = join(temporaryFolder(), 'lora.safetensors');
  writeWithMetadata(path, new Map(Object.entries(tensors)), metadata);
  return path;
}

/** A low-rank pair of a layer with `inputs` inputs. */
const pair = (layer: string, inputs: number, rank = 2) => ({
  [`${layer}.lora_down.weight`]: zeros(rank, inputs),
  [`${layer}.lora_up.weight`]: zeros(8, rank),
});

describe('the kind of an adapter', () => {
  it.each([
    ['tucker', 'locon', 4, 3],
    ['loha', 'loha', 3, 2],
    ['lokr', 'lokr', 2, 1.5],
    ['lokr-full', 'lokr', null, 5],
    ['dora', 'dora', 4, 3],
    ['dora-loha', 'dora', 3, 2],
    ['ia3-output', 'ia3', null, null],
    ['oft', 'oft', null, 0],
    ['boft', 'boft', null, 0],
    ['full', 'full', null, null],
  ])('of %s is %s, with its rank and alpha', async (form, kind, rank, alpha) => {
    expect(await described(writeLycoris(form))).toMatchObject({ kind, rank, alpha });
  });

  it("is lora for a file without larger filters and dora for PEFT's magnitudes", async () => {
    expect(await described(writeLora('sd1', 'attention'))).toMatchObject({
      ...{ kind: 'lora', rank: 3, alpha: null },
    });
    expect(await described(writePeftDora())).toMatchObject({ kind: 'dora', rank: 4, alpha: 3 });
  });

  it('is mixed for two forms, with every rank in ascending order', async () => {
    const path = written({
      ...pair('lora_unet_mid_block_attentions_0_proj_in', 8, 16),
      ...pair('lora_unet_mid_block_attentions_0_proj_out', 8, 4),
      'lora_unet_conv_in.diff': zeros(8, 4, 3, 3),
    });
    expect(await described(path)).toMatchObject({ kind: 'mixed', rank: [4, 16] });
  });

  it('does not depend on the norms that LyCORIS trains along', async () => {
    const path = written({ ...pair('lora_unet_conv_in', 8), 'lora_unet_norm.w_norm': zeros(8) });
    expect(await described(path)).toMatchObject({ kind: 'lora' });
  });
});

describe('the family of an adapter', () => {
  const K = 'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k';

  it.each([
    [768, 'sd1'],
    [1024, 'sd2'],
    [2048, 'sdxl'],
    [64, null],
  ])('follows from cross-attention with %i inputs: %s', async (width, family) => {
    expect(await described(written(pair(K, width)))).toMatchObject({ family });
    const peft = `unet.${'down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v'}`;
    const path = written({
      [`${peft}.lora_A.weight`]: zeros(2, width),
      [`${peft}.lora_B.weight`]: zeros(8, 2),
    });
    expect(await described(path)).toMatchObject({ family });
  });

  it('follows from the inputs of a LoKr, a LoHa and a difference', async () => {
    const lokr = written({ [`${K}.lokr_w1`]: zeros(2, 8), [`${K}.lokr_w2`]: zeros(4, 128) });
    const loha = written({
      ...{ [`${K}.hada_w1_a`]: zeros(8, 2), [`${K}.hada_w1_b`]: zeros(2, 2048) },
      ...{ [`${K}.hada_w2_a`]: zeros(8, 2), [`${K}.hada_w2_b`]: zeros(2, 2048) },
    });
    const full = written({ [`${K}.diff`]: zeros(8, 768) });
    const families = await Promise.all([lokr, loha, full].map(described));
    expect(families.map(({ family }) => family)).toEqual(['sd2', 'sdxl', 'sd1']);
  });

  it('follows from the text encoders of a file without cross-attention', async () => {
    const layer = 'text_model_encoder_layers_0_self_attn_q_proj';
    const families = await Promise.all(
      [
        written(pair(`lora_te_${layer}`, 768)),
        written(pair(`lora_te_${layer}`, 1024)),
        written(pair(`lora_te2_${layer}`, 1280)),
        written(pair('lora_te_x', 768)),
      ].map(described),
    );
    expect(families.map(({ family }) => family)).toEqual(['sd1', 'sd2', 'sdxl', null]);
  });

  it('is that of the metadata if the tensors are of a model with other widths', async () => {
    const of = async (metadata: Record<string, string>) =>
      (await described(written(pair(K, 64), metadata))).family;
    expect(await of({ ss_base_model_version: 'sd_v1' })).toBe('sd1');
    expect(await of({ ss_base_model_version: 'sd_v2_v' })).toBe('sd2');
    expect(await of({ ss_base_model_version: 'sdxl_base_v1-0' })).toBe('sdxl');
    expect(await of({ 'modelspec.architecture': 'stable-diffusion-xl-v1-base/lora' })).toBe('sdxl');
    expect(await of({ 'modelspec.architecture': 'flux-1-dev/lora' })).toBeNull();
    expect((await described(written(pair(K, 768), { ss_base_model_version: 'sdxl_base_v1-0' }))).family).toBe(
      'sd1',
    );
  });

  it('is unknown for transformers of other models', async () => {
    const path = written(pair('lora_unet_double_blocks_0_img_attn_qkv', 3072));
    expect(await described(path)).toMatchObject({ family: null, targets: ['unet:img_attn_qkv'] });
  });
});

describe('the targets of an adapter', () => {
  const of = async (model: LoraModel, lora: LoraName, naming: Naming) =>
    (await described(writeLora(model, lora, naming))).targets;

  it('are kinds of layers by component, whatever the naming', async () => {
    const kohya = await of('sdxl', 'whole', 'kohya');
    expect(kohya).toEqual(
      expect.arrayContaining([
        ...['text_encoder:self_attn.q_proj', 'text_encoder_2:mlp.fc1', 'text_encoder_2:self_attn.out_proj'],
        ...['unet:attn1.to_out.0', 'unet:attn2.to_k', 'unet:add_embedding.linear_1', 'unet:conv1'],
        ...['unet:conv', 'unet:conv_in', 'unet:conv_out', 'unet:ff.net.0.proj', 'unet:time_emb_proj'],
      ]),
    );
    expect(kohya).toEqual([...kohya].sort());
    expect(kohya.filter((target) => /\d\d|blocks/.test(target))).toEqual([]);
    expect(await of('sdxl', 'whole', 'peft')).toEqual(kohya);
    expect(await of('sdxl', 'whole', 'sgm')).toEqual(kohya);
    expect(await of('sd1', 'attention', 'processor')).toEqual(await of('sd1', 'attention', 'kohya'));
  });
});

describe('names, origins and embeddings', () => {
  it('come from the metadata, in which None is no value', async () => {
    const path = written(
      { ...pair('lora_unet_conv_in', 8), 'bundle_emb.my.word.string_to_param.*': zeros(2, 8) },
      {
        ss_output_name: 'ink',
        'modelspec.title': 'Ink',
        ss_sd_model_name: 'None',
        ss_base_model_version: 'sd_v1',
      },
    );
    expect(await described(path)).toMatchObject({ name: 'ink', baseModel: 'sd_v1', embeddings: ['my.word'] });
    expect(
      await described(written(pair('lora_unet_conv_in', 8), { 'modelspec.title': 'Ink' })),
    ).toMatchObject({
      ...{ name: 'Ink', baseModel: null, embeddings: [] },
    });
  });

  it('tell a LoRA from other files', async () => {
    expect(isLora(await readLora(written({ 'a.alpha': zeros(), b: zeros(2) })))).toBe(false);
    expect(isLora(await readLora(written(pair('a', 2))))).toBe(true);
  });
});

describe('trigger words', () => {
  const FREQUENCY = JSON.stringify({
    '10_ohwx cat': { 'a cat': 8, tail: 3 },
    plain: { ohwx: 4, 'on grass': 1 },
  });
  const of = (notes: Record<string, string>, path = 'none.safetensors') =>
    triggerWords({ path, notes: new Map(Object.entries(notes)) });

  it('come from files next to it before its metadata', async () => {
    const path = written(pair('a', 2));
    const write = (name: string, value: unknown) =>
      writeFileSync(
        path.replace('lora.safetensors', name),
        typeof value === 'string' ? value : JSON.stringify(value),
      );
    const notes = { 'modelspec.trigger_phrase': 'from metadata' };
    expect(await of(notes, path)).toEqual(['from metadata']);
    write('lora.metadata.json', { civitai: { trainedWords: ['manager'] } });
    expect(await of(notes, path)).toEqual(['manager']);
    write('lora.civitai.info', { trainedWords: ['ink style', ' ink style ', 'wet paper,'] });
    expect(await of(notes, path)).toEqual(['ink style', 'wet paper']);
    write('lora.json', { 'activation text': 'own, words, own' });
    expect(await of(notes, path)).toEqual(['own', 'words']);
    for (const malformed of ['{', '[1]', '{"activation text": 5, "trainedWords": [5]}', '\u0000']) {
      for (const name of ['lora.json', 'lora.civitai.info', 'lora.metadata.json']) write(name, malformed);
      expect(await of(notes, path)).toEqual(['from metadata']);
    }
  });

  it('come from metadata as text or as a list', async () => {
    expect(await of({ 'modelspec.trigger_words': 'a, b', ss_trigger_words: 'c' })).toEqual(['a', 'b']);
    expect(await of({ ss_trigger_words: '["a", "b", 3]', ss_tag_frequency: FREQUENCY })).toEqual(['a', 'b']);
  });

  it('are otherwise the most frequent tag of each folder and the name of the folder', async () => {
    expect(await of({ ss_tag_frequency: FREQUENCY })).toEqual(['a cat', 'ohwx cat', 'ohwx']);
    const counted = { ss_dataset_dirs: JSON.stringify({ plain: { n_repeats: 1, img_count: 5 } }) };
    expect(await of({ ss_tag_frequency: FREQUENCY, ...counted })).toEqual(['a cat', 'ohwx cat']);
  });

  it.each(['{', '5', 'null', '[]', '{"a": 5}', '{"a": {"b": "c"}}', '{"a": {"b": -1}}'])(
    'are none for malformed captions: %s',
    async (text) => {
      expect(await of({ ss_tag_frequency: text, ss_dataset_dirs: text })).toEqual([]);
    },
  );
});

describe('the hash of a LoRA', () => {
  it("is that of A1111: the trainer's, else of the bytes after the header", async () => {
    const tensors = pair('lora_unet_conv_in', 8);
    const [plain, edited] = [written(tensors), written(tensors, { note: 'longer header' })];
    const data = Buffer.concat(Object.values(tensors).map(({ data }) => data));
    const digest = createHash('sha256').update(data).digest('hex');
    expect(await loraHash(plain)).toBe(digest.slice(0, 12));
    expect(await loraHash(edited)).toBe(digest.slice(0, 12));
    const stated = { sshs_model_hash: 'ABCDEF0123456789'.padEnd(64, '0') };
    expect(await loraHash(written(tensors, stated))).toBe('abcdef012345');
    expect(await loraHash(written(tensors, { sshs_model_hash: 'None' }))).toBe(digest.slice(0, 12));
  });

  it('is of the whole file in other formats', async () => {
    const path = join(temporaryFolder(), 'lora.pt');
    writeTorch(path, new Map(Object.entries(pair('lora_unet_conv_in', 8))));
    expect(await loraHash(path)).toBe(
      createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 12),
    );
  });

  it('rejects a missing and a damaged file', async () => {
    const damaged = join(temporaryFolder(), 'lora.safetensors');
    writeFileSync(damaged, 'no tensors at all');
    await expect(loraHash(damaged)).rejects.toMatchObject({ code: 'INVALID_FILE' });
    await expect(loraHash(`${damaged}.none`)).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' });
  });
});
