/** The naming of taming's transformer, which is canonical: `transformer.blocks.0.ln1.weight`. */
import type { Naming } from './naming.js';

const PARAMETER =
  /^(?:pos_emb|tok_emb\.weight|head\.weight|ln_f\.(?:weight|bias)|blocks\.\d+\.(?:ln[12]|attn\.(?:key|query|value|proj)|mlp\.[02])\.(?:weight|bias))$/;

/** @param prefix `transformer.` in a checkpoint, empty in a file of the transformer alone */
export function tamingTransformerNaming(prefix: string): Naming {
  return {
    dialect: 'taming',
    canonical(source) {
      const name = source.startsWith(prefix) ? source.slice(prefix.length) : '';
      return PARAMETER.test(name) ? [{ name }] : [];
    },
    source: (canonical) => prefix + canonical,
  };
}
