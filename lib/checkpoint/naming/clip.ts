/**
 * The naming of transformers' `CLIPTextModel`, in a folder or inside a single file (`cond_stage_model.transformer.`).
 * transformers 4 prefixes every name but the projection's with `text_model.`, transformers 5 and some old merges do
 * not.
 */
import { isTextEncoderParameter } from './canonical.js';
import type { CanonicalPart, Naming } from './naming.js';

const MODEL = 'text_model.';

/**
 * @param names all names of the file
 * @param prefix prefix of the encoder's names with the dot; empty in a folder
 * @param projection true to include the projection of the pooled output
 */
export function clipNaming(names: Iterable<string>, prefix: string, projection: boolean): Naming {
  let full = false;
  for (const name of names) full ||= name.startsWith(prefix + MODEL);
  return {
    dialect: full ? 'transformers' : 'transformers (without text_model.)',
    canonical: (source): CanonicalPart[] => {
      if (!source.startsWith(prefix)) return [];
      const suffix = source.slice(prefix.length);
      const projects = suffix.startsWith('text_projection.');
      const name = full || projects ? suffix : MODEL + suffix;
      return isTextEncoderParameter(name) && (!projects || projection) ? [{ name }] : [];
    },
    source: (canonical) =>
      prefix + (full || !canonical.startsWith(MODEL) ? canonical : canonical.slice(MODEL.length)),
  };
}
