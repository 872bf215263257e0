/**
 * The naming of text encoders in stable-diffusion.cpp's files: transformers' names for every encoder, but OpenCLIP's
 * query, key and value are fused (`self_attn.in_proj`) and its projection is a matrix without `.weight`, applied as x *
 * P.
 */
import { isTextEncoderParameter } from './canonical.js';
import type { CanonicalPart, Naming } from './naming.js';
import { fusedParts } from './openclip.js';

const FUSED = /^(text_model\.encoder\.layers\.\d+)\.self_attn\.in_proj\.(weight|bias)$/;
const SPLIT = /^(text_model\.encoder\.layers\.\d+)\.self_attn\.[qkv]_proj\.(weight|bias)$/;
const PROJECTION = 'text_model.text_projection';

/**
 * @param names all names of the file
 * @param prefix prefix of `text_model.` with the dot
 * @param projection true to include the projection of the pooled output
 */
export function sdcppTextNaming(names: Iterable<string>, prefix: string, projection: boolean): Naming {
  let fused = false;
  for (const name of names) fused ||= name.startsWith(prefix) && FUSED.test(name.slice(prefix.length));
  return {
    dialect: 'stable-diffusion.cpp',
    canonical: (source, shape): readonly CanonicalPart[] => {
      if (!source.startsWith(prefix)) return [];
      const name = source.slice(prefix.length);
      if (name === PROJECTION) {
        return projection ? [{ name: 'text_projection.weight', transform: { op: 'transpose' } }] : [];
      }
      const [, layer, leaf] = FUSED.exec(name) ?? [];
      if (layer !== undefined && leaf !== undefined) return fusedParts(layer, leaf, shape);
      return isTextEncoderParameter(name) && !name.startsWith('text_projection.') ? [{ name }] : [];
    },
    source: (canonical) => {
      if (canonical === 'text_projection.weight') return prefix + PROJECTION;
      return prefix + (fused ? canonical.replace(SPLIT, '$1.self_attn.in_proj.$2') : canonical);
    },
  };
}
