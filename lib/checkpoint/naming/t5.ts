/**
 * The naming of T5 encoders: transformers' `T5EncoderModel`, in a folder or with a prefix in a single file
 * (`text_encoders.t5xxl.transformer.` in SD3's), and llama.cpp's in GGUF (`enc.blk.N.attn_q`). The decoder of a
 * complete T5 is ignored.
 */
import { type CanonicalPart, NameTable, type Naming } from './naming.js';

const EMBEDDING = 'shared.weight';
/** The tied copy of `shared.weight`; some files contain only this one. */
const TIED = 'encoder.embed_tokens.weight';
const PARAMETER =
  /^(?:shared|encoder\.final_layer_norm|encoder\.block\.\d+\.layer\.(?:0\.SelfAttention\.(?:[qkvo]|relative_attention_bias)|1\.DenseReluDense\.(?:wi_[01]|wo)|[01]\.layer_norm))\.weight$/;

const GGUF_TOP = new NameTable()
  .add('token_embd', 'shared')
  .add('enc.output_norm', 'encoder.final_layer_norm');
const GGUF_BLOCK = new NameTable()
  .add('attn_norm', 'layer.0.layer_norm')
  .add('attn_q', 'layer.0.SelfAttention.q')
  .add('attn_k', 'layer.0.SelfAttention.k')
  .add('attn_v', 'layer.0.SelfAttention.v')
  .add('attn_o', 'layer.0.SelfAttention.o')
  .add('attn_rel_b', 'layer.0.SelfAttention.relative_attention_bias')
  .add('ffn_norm', 'layer.1.layer_norm')
  .add('ffn_gate', 'layer.1.DenseReluDense.wi_0')
  .add('ffn_up', 'layer.1.DenseReluDense.wi_1')
  .add('ffn_down', 'layer.1.DenseReluDense.wo');

/** A name that every encoder contains, in each dialect. */
const FIRST = 'encoder.block.0.layer.0.SelfAttention.q.weight';
const GGUF_FIRST = 'enc.blk.0.attn_q.weight';

/** Returns the naming of the T5 encoder in a file; null if there is none. */
export function findT5(names: Iterable<string>): Naming | null {
  const all = new Set(names);
  for (const name of all) {
    if (name.endsWith(FIRST)) return t5Naming(all, name.slice(0, -FIRST.length));
    if (name.endsWith(GGUF_FIRST)) return ggufT5Naming(name.slice(0, -GGUF_FIRST.length));
  }
  return null;
}

/**
 * @param names all names of the file, which determine the name of the embedding
 * @param prefix prefix of the encoder's names with the dot; empty in a folder
 */
export function t5Naming(names: ReadonlySet<string>, prefix: string): Naming {
  const tied = !names.has(prefix + EMBEDDING) && names.has(prefix + TIED);
  return {
    dialect: 'transformers',
    canonical: (source): CanonicalPart[] => {
      if (!source.startsWith(prefix)) return [];
      const name = source.slice(prefix.length);
      if (tied && name === TIED) return [{ name: EMBEDDING }];
      return PARAMETER.test(name) ? [{ name }] : [];
    },
    source: (canonical) => prefix + (tied && canonical === EMBEDDING ? TIED : canonical),
  };
}

/** @param prefix prefix of `token_embd` and `enc.` with the dot */
export function ggufT5Naming(prefix: string): Naming {
  return {
    dialect: 'llama.cpp',
    canonical: (source): CanonicalPart[] => {
      if (!source.startsWith(prefix)) return [];
      const name = ggufCanonical(source.slice(prefix.length));
      return name !== null && PARAMETER.test(name) ? [{ name }] : [];
    },
    source: (canonical) => prefix + ggufSource(canonical),
  };
}

function ggufCanonical(name: string): string | null {
  const [, block, leaf] = /^enc\.blk\.(\d+)\.(.+)$/.exec(name) ?? [];
  if (block === undefined || leaf === undefined) return GGUF_TOP.canonical(name);
  const place = GGUF_BLOCK.canonical(leaf);
  return place === null ? null : `encoder.block.${block}.${place}`;
}

function ggufSource(name: string): string {
  const [, block, leaf] = /^encoder\.block\.(\d+)\.(.+)$/.exec(name) ?? [];
  if (block === undefined || leaf === undefined) return GGUF_TOP.source(name) ?? name;
  return `enc.blk.${block}.${GGUF_BLOCK.source(leaf) ?? leaf}`;
}
