/**
 * transformers' `CLIPTextModel`, as a folder's text encoder or inside a single file (`cond_stage_model.transformer.`). transformers 4
 * puts `text_model.` before every name but the projection's, transformers 5 and some old merges leave it out.
 */
import { isTextEncoderParameter } from './canonical.js';
import type { CanonicalPart, Naming } from './naming.js';

const MODEL = 'text_model.';

/**
 * @param names all names of the file
 * @param prefix what stands before the encoder's names, with its dot; empty in a folder
 * @param projection whether the pooled output's projection is wanted
 */
export function clipNaming(names: Iterable<string>, prefix: string, projection: boolean): Naming {
  let full = false;
  for (const name of names) full ||= name.startsWith(prefix + MODEL);
  return {
    dialect: full ? 'transformers' : 'transformers (without text_model.)',
    canonical: (source): CanonicalPart[] => {
      if (!source.startsWith(prefix)) return [];
      const rest = source.slice(prefix.length);
      const projects = rest.startsWith('text_projection.');
      const name = full || projects ? rest : MODEL + rest;
      return isTextEncoderParameter(name) && (!projects || projection) ? [{ name }] : [];
    },
    source: (canonical) =>
      prefix + (full || !canonical.startsWith(MODEL) ? canonical : canonical.slice(MODEL.length)),
  };
}
