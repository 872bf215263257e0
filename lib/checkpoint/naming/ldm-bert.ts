/**
 * Maps CompVis' text encoder `cond_stage_model.transformer.` (x-transformers) to the names of diffusers'
 * `LDMBertModel`.
 */
import type { Naming } from './naming.js';

/**
 * Entries `2n` are the attention of layer n, `2n + 1` its feed-forward network; `.0` is the norm before it, `.1` the
 * module itself.
 */
const ATTENTION: Readonly<Record<string, string>> = {
  '0': 'self_attn_layer_norm',
  '1.to_q': 'self_attn.q_proj',
  '1.to_k': 'self_attn.k_proj',
  '1.to_v': 'self_attn.v_proj',
  '1.to_out': 'self_attn.out_proj',
};
const FEED_FORWARD: Readonly<Record<string, string>> = {
  '0': 'final_layer_norm',
  '1.net.0.0': 'fc1',
  '1.net.2': 'fc2',
};
const TOP: Readonly<Record<string, string>> = {
  token_emb: 'model.embed_tokens',
  'pos_emb.emb': 'model.embed_positions',
  norm: 'model.layer_norm',
};

/** @param prefix prefix of the names with the dot */
export function ldmBertNaming(prefix: string): Naming {
  return {
    dialect: 'ldm',
    canonical: (source) => {
      const name = source.startsWith(prefix) ? canonical(source.slice(prefix.length)) : null;
      return name === null ? [] : [{ name }];
    },
    source: (name) => prefix + (backwards(name) ?? name),
  };
}

function canonical(name: string): string | null {
  const [, stem = '', leaf = ''] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const top = lookup(TOP, stem);
  if (top) return `${top}.${leaf}`;
  const [, layer, part = ''] = /^attn_layers\.layers\.(\d+)\.(.*)$/.exec(stem) ?? [];
  if (layer === undefined) return null;
  const place = lookup(Number(layer) % 2 === 0 ? ATTENTION : FEED_FORWARD, part);
  return place && `model.layers.${Math.floor(Number(layer) / 2)}.${place}.${leaf}`;
}

function backwards(name: string): string | null {
  const [, stem = '', leaf = ''] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const find = (table: Readonly<Record<string, string>>, wanted: string) =>
    Object.keys(table).find((key) => table[key] === wanted);
  const top = find(TOP, stem);
  if (top) return `${top}.${leaf}`;
  const [, layer, part = ''] = /^model\.layers\.(\d+)\.(.*)$/.exec(stem) ?? [];
  if (layer === undefined) return null;
  const attention = find(ATTENTION, part);
  const place = attention ?? find(FEED_FORWARD, part);
  return place === undefined
    ? null
    : `attn_layers.layers.${2 * Number(layer) + (attention === undefined ? 1 : 0)}.${place}.${leaf}`;
}

function lookup(table: Readonly<Record<string, string>>, key: string): string | null {
  return Object.hasOwn(table, key) ? table[key]! : null;
}
