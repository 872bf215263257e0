/** Configs of U-Nets that are detected from the names and shapes of tensors, and the errors for incomplete or unknown ones. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { detectUNetConfig, type UNetHints } from '../../../lib/checkpoint/config/detect/unet.js';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { ComponentWeights } from '../../../lib/checkpoint/weights/component.js';
import type { TensorInfo } from '../../../lib/checkpoint/weights/tensor-index.js';

const PLAIN: UNetHints = { addition: null, sampleSize: 64 };

describe('the config of a U-Net without a config file', () => {
  let tensors: Map<string, TensorInfo>;
  beforeAll(async () => {
    const file = fileURLToPath(new URL('../../fixtures/models/unet-sd1.safetensors', import.meta.url));
    // Four times the channels of the tiny fixture, because group norms need multiples of 32.
    const wider = (side: number) => (side >= 8 ? 4 * side : side);
    tensors = new Map();
    for (const [path, tensor] of (await openWeights(file)).tensors) {
      const [, name] = /^weights\/(.*)$/.exec(path) ?? [];
      if (name) tensors.set(name, { ...tensor, name, shape: tensor.shape.map(wider) });
    }
  });

  /** Detects the config of an SD1 U-Net without the tensors that match `without`, and with others of these shapes. */
  function detect(without: RegExp | null, shapes: Record<string, number[]> = {}, hints: UNetHints = PLAIN) {
    const some = tensors.values().next().value!;
    const kept = [...tensors].filter(([name]) => !without?.test(name));
    const added = Object.entries(shapes).map(([name, shape]) => [name, { ...some, name, shape }] as const);
    const naming = {
      dialect: 'diffusers' as const,
      canonical: (name: string) => [{ name }],
      source: (name: string) => name,
    };
    return detectUNetConfig(
      new ComponentWeights('U-Net', 'm.safetensors', new Map([...kept, ...added]), naming),
      hints,
    );
  }

  it('has the channels, layers and attention that the tensors show', () => {
    const config = detect(null);
    const [first, ...rest] = config.block_out_channels;
    expect(tensors.get('conv_in.weight')!.shape).toEqual([first, config.in_channels, 3, 3]);
    expect(config.layers_per_block).toHaveLength(rest.length + 1);
    expect(config.cross_attention_dim).toBe(tensors.get(firstName(/attn2\.to_k\.weight$/))!.shape[1]);
    expect(config).toMatchObject({ addition: null, sample_size: 64, use_linear_projection: false });
  });
  const firstName = (pattern: RegExp) => [...tensors.keys()].find((name) => pattern.test(name))!;

  it.each([
    ['a residual block of an upsampling level', /^up_blocks\.0\.resnets\.1\./],
    ['all residual blocks of a level', /^down_blocks\.0\.resnets\./],
    ['the first of two residual blocks', /^up_blocks\.0\.resnets\.0\./],
    ['a level between others', /^down_blocks\.1\./],
    ['one of two attentions of a level', /^up_blocks\.1\.attentions\.1\./],
    ['the transformer blocks of an attention', /^mid_block\.attentions\.0\.transformer_blocks\./],
    ['the input convolution', /^conv_in\.weight$/],
  ])('is not detected without %s (MISSING_TENSOR)', (_, without) => {
    expect(() => detect(without)).toThrow(expect.objectContaining({ code: 'MISSING_TENSOR' }));
  });

  const deeper = (place: string) => ({ [`${place}.transformer_blocks.1.norm1.weight`]: [96] });
  it.each([
    ['more upsampling blocks than expected', null, { 'up_blocks.0.resnets.2.conv1.weight': [32, 32, 3, 3] }],
    ['no attention to a prompt', /attentions/, {}],
    ['attentions of different depths in one level', null, deeper('up_blocks.1.attentions.0')],
    ['attentions of different depths in the two halves', null, deeper('down_blocks.1.attentions.0')],
    ['a class embedding of numbers', null, { 'class_embedding.linear_1.weight': [64, 64] }],
    ['a class embedding of another width', null, { 'class_embedding.weight': [10, 7] }],
    ['an embedding of guidance of another width', null, { 'time_embedding.cond_proj.weight': [7, 256] }],
    ['an additional embedding that the family lacks', null, { 'add_embedding.linear_1.weight': [64, 20] }],
  ])('is not detected with %s (UNSUPPORTED_MODEL)', (_, without, shapes) => {
    expect(() => detect(without, shapes as Record<string, number[]>)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_MODEL' }),
    );
  });

  it('contains a class embedding table with its number of classes', () => {
    const [first = 0] = detect(null).block_out_channels;
    const { class_embedding } = detect(null, { 'class_embedding.weight': [1001, 4 * first] });
    expect(class_embedding).toEqual({ type: 'table', size: 1001 });
  });

  it('contains the width of an embedding of the guidance scale', () => {
    const [first = 0] = detect(null).block_out_channels;
    const { time_cond_proj_dim } = detect(null, { 'time_embedding.cond_proj.weight': [first, 256] });
    expect(time_cond_proj_dim).toBe(256);
    expect(detect(null)).not.toHaveProperty('time_cond_proj_dim');
  });

  it('contains the width of the time ids if the family has pooled prompts', () => {
    const hints = { addition: { pooled: 8, ids: 6 }, sampleSize: 128 };
    const added = (width: number) => ({ 'add_embedding.linear_1.weight': [16, width] });
    expect(detect(null, added(8 + 6 * 4), hints).addition).toEqual({ time_embed_dim: 4, input_dim: 32 });
    expect(() => detect(null, added(8 + 6 * 4 + 1), hints)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_MODEL' }),
    );
    expect(() => detect(null, {}, hints)).toThrow(expect.objectContaining({ code: 'MISSING_TENSOR' }));
  });
});
