/**
 * The naming of OpenCLIP's text tower (`cond_stage_model.model.` of SD2, `conditioner.embedders.N.model.` of SDXL).
 * Query, key and value are the rows of one `in_proj`; `text_projection` P is applied as x * P, so it is the transpose
 * of a Linear's weight.
 */
import { defined } from '../../defined.js';
import { isTextEncoderParameter } from './canonical.js';
import { type CanonicalPart, NameTable, type Naming } from './naming.js';

const TOP = new NameTable()
  .add('positional_embedding', 'text_model.embeddings.position_embedding.weight')
  .add('token_embedding', 'text_model.embeddings.token_embedding')
  .add('ln_final', 'text_model.final_layer_norm')
  .add('text_projection', 'text_projection.weight');

const BLOCK = new NameTable()
  .add('ln_1', 'layer_norm1')
  .add('ln_2', 'layer_norm2')
  .add('mlp.c_fc', 'mlp.fc1')
  .add('mlp.c_proj', 'mlp.fc2')
  .add('attn.out_proj', 'self_attn.out_proj');

const SOURCE_BLOCK = /^transformer\.resblocks\.(\d+)\.(.+)$/;
const CANONICAL_BLOCK = /^text_model\.encoder\.layers\.(\d+)\.(.+)$/;
const FUSED = ['q_proj', 'k_proj', 'v_proj'] as const;

/**
 * @param prefix prefix of the tower's names with the dot
 * @param projection true to include the projection of the pooled output (SD2 does not use it)
 */
export function openClipNaming(prefix: string, projection: boolean): Naming {
  return {
    dialect: 'openclip',
    canonical: (source, shape): readonly CanonicalPart[] => {
      if (!source.startsWith(prefix)) return [];
      const name = source.slice(prefix.length);
      if (name === 'text_projection') {
        return projection ? [{ name: 'text_projection.weight', transform: { op: 'transpose' } }] : [];
      }
      const parts = blockParts(name, shape) ?? [{ name: TOP.canonical(name) ?? '' }];
      return parts.filter((part) => isTextEncoderParameter(part.name));
    },
    source: (canonical) => prefix + sourceName(canonical),
  };
}

function blockParts(name: string, shape: readonly number[]): CanonicalPart[] | null {
  const [, layer, leaf] = SOURCE_BLOCK.exec(name) ?? [];
  if (layer === undefined || leaf === undefined) return null;
  const place = `text_model.encoder.layers.${layer}`;
  const fused = /^attn\.in_proj_(weight|bias)$/.exec(leaf)?.[1];
  if (fused === undefined) return [{ name: `${place}.${BLOCK.canonical(leaf) ?? leaf}` }];
  return fusedParts(place, fused, shape);
}

/**
 * Returns query, key and value of a layer as parts of the fused tensor of shape `[3 C, ...]`.
 * @param leaf `weight` or `bias`
 */
export function fusedParts(layer: string, leaf: string, shape: readonly number[]): CanonicalPart[] {
  // A length that is not divisible by 3 is kept and fails the shape check later.
  const rows = (shape[0] ?? 0) / 3;
  return FUSED.map((part, i) =>
    defined({
      name: `${layer}.self_attn.${part}.${leaf}`,
      transform: Number.isInteger(rows)
        ? ({ op: 'rows', start: i * rows, end: (i + 1) * rows } as const)
        : undefined,
    }),
  );
}

function sourceName(canonical: string): string {
  const [, layer, leaf] = CANONICAL_BLOCK.exec(canonical) ?? [];
  if (layer === undefined || leaf === undefined) return TOP.source(canonical) ?? canonical;
  const fused = /^self_attn\.[qkv]_proj\.(weight|bias)$/.exec(leaf)?.[1];
  return `transformer.resblocks.${layer}.${fused === undefined ? (BLOCK.source(leaf) ?? leaf) : `attn.in_proj_${fused}`}`;
}
