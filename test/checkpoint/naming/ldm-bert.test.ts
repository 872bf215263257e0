import { describe, expect, it } from 'vitest';
import { ldmBertNaming } from '../../../lib/checkpoint/naming/ldm-bert.js';

const PREFIX = 'cond_stage_model.transformer.';
const naming = ldmBertNaming(PREFIX);
const canonical = (name: string) => naming.canonical(name, []).map((part) => part.name);

describe("the names of CompVis' BERT encoder", () => {
  it.each([
    ['token_emb.weight', 'model.embed_tokens.weight'],
    ['pos_emb.emb.weight', 'model.embed_positions.weight'],
    ['norm.bias', 'model.layer_norm.bias'],
    ['attn_layers.layers.0.0.weight', 'model.layers.0.self_attn_layer_norm.weight'],
    ['attn_layers.layers.0.1.to_q.weight', 'model.layers.0.self_attn.q_proj.weight'],
    ['attn_layers.layers.62.1.to_out.bias', 'model.layers.31.self_attn.out_proj.bias'],
    ['attn_layers.layers.1.0.bias', 'model.layers.0.final_layer_norm.bias'],
    ['attn_layers.layers.5.1.net.0.0.weight', 'model.layers.2.fc1.weight'],
    ['attn_layers.layers.5.1.net.2.bias', 'model.layers.2.fc2.bias'],
  ])('maps %s to %s and back', (ldm, diffusers) => {
    expect(canonical(PREFIX + ldm)).toEqual([diffusers]);
    expect(naming.source(diffusers)).toBe(PREFIX + ldm);
  });

  it.each([
    'token_emb.weight', // without the prefix
    `${PREFIX}to_logits.weight`,
    `${PREFIX}attn_layers.layers.0.1.to_x.weight`,
    `${PREFIX}attn_layers.layers.1.1.to_q.weight`,
    `${PREFIX}attn_layers.layers.0.1.to_q`,
    `${PREFIX}constructor.weight`,
  ])('ignores %s', (name) => {
    expect(canonical(name)).toEqual([]);
  });

  it.each(['model.layers.0.self_attn.x_proj.weight', 'model.other.weight', 'model.layers.0.fc1'])(
    'names %s, which has no counterpart, by itself in messages',
    (name) => {
      expect(naming.source(name)).toBe(PREFIX + name);
    },
  );
});
