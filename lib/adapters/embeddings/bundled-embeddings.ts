/** Embeddings inside LoRA files, as LyCORIS bundles them: `bundle_emb.NAME.string_to_param.*`, `bundle_emb.NAME.clip_l`. */
import { openWeights } from '../../checkpoint/formats/open-weights.js';
import type { LoraFile } from '../lora-file.js';
import { type EmbeddingFile, hashOf } from './embedding-file.js';
import { type EmbeddingTables, embeddingTables, type RawTable, rawTable } from './embedding-tables.js';

/** Names may contain dots. */
const KEY = /^bundle_emb\.(.+?)\.(string_to_param\..+|clip_[lg]|text_encoders_[01]|emb_params)$/s;
/** Key of an embedding under another name of its tensor. */
const OTHER_KEY = /^bundle_emb\.([^.]+)\.(.+)$/s;

/**
 * Reads the embeddings of a LoRA file; most have none.
 * @returns embeddings named as in the file; `hash` is of their vectors, since they have no file of their own
 * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_ADAPTER, NOT_FINITE
 */
export async function bundledEmbeddings({
  path,
  embeddings,
}: Pick<LoraFile, 'path' | 'embeddings'>): Promise<EmbeddingFile[]> {
  if (embeddings.length === 0) return [];
  const bundles = new Map<string, RawTable[]>();
  for (const tensor of (await openWeights(path)).tensors.values()) {
    const [, name, key] = KEY.exec(tensor.name) ?? OTHER_KEY.exec(tensor.name) ?? [];
    if (name === undefined || key === undefined) continue;
    bundles.set(name, [...(bundles.get(name) ?? []), rawTable(tensor, key)]);
  }
  const files: EmbeddingFile[] = [];
  for (const [name, raw] of bundles) {
    const tables = await embeddingTables(`${JSON.stringify(name)} in ${path}`, raw);
    files.push({ path, name, hash: contentHash(tables), ...tables });
  }
  return files;
}

function contentHash({ tables }: EmbeddingTables): string {
  const parts = Object.entries(tables).flatMap(([table, { data, shape }]) => [
    Buffer.from(`${table} ${shape.join(' ')} `),
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  ]);
  return hashOf(Buffer.concat(parts));
}
