/** Assignment of an embedding's tables to the text encoders of a model. */
import type { Tensor } from '../../tensor/tensor.js';
import type { EmbeddingFile } from './embedding-file.js';

/** An embedding for a model; a `TokenEmbedding` of lib/conditioning. */
export interface ModelEmbedding {
  readonly name: string;
  /** Identifies the content, for cache keys. */
  readonly identity: string;
  /** Vectors `[n, width]` for each text encoder; undefined if the file has none of its width. */
  readonly tables: readonly (Tensor | undefined)[];
}

/**
 * Assigns the tables of a file to the text encoders of a model. With two encoders (SDXL), clip_l is for the first and
 * clip_g for the second. With one, it is the file's only table, or clip_g of a file for SDXL (whose refiner has only
 * the second encoder).
 * @param widths of the encoders' token embeddings
 */
export function modelEmbedding(file: EmbeddingFile, widths: readonly number[]): ModelEmbedding {
  const { any, clip_l, clip_g } = file.tables;
  const candidates = widths.length === 1 ? [any ?? clip_g ?? clip_l] : [clip_l, clip_g];
  return {
    name: file.name,
    identity: file.hash,
    tables: widths.map((width, i) => (candidates[i]?.shape[1] === width ? candidates[i] : undefined)),
  };
}

/** Returns the message of the warning ADAPTER_MISMATCH for an embedding that does not fit the model. */
export function misfitMessage({ path, name, widths }: EmbeddingFile, model: readonly number[]): string {
  const [has, needs] = [widths, model].map((list) => list.join(' and '));
  return `The embedding ${path} has vectors of width ${has}, but the model's text encoders need width ${needs}; ${JSON.stringify(name)} remains a word of the prompt. Use an embedding that was trained for this kind of model.`;
}
