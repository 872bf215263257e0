/** Description of a file of textual inversion. */
import { type EmbeddingFile, readEmbedding } from '../adapters/embeddings/embedding-file.js';
import type { TensorIndex } from '../checkpoint/weights/tensor-index.js';
import { embeddingFamily } from '../families/shared/unet/lora-family.js';

export interface InspectedEmbedding
  extends Pick<EmbeddingFile, 'path' | 'name' | 'hash' | 'vectors' | 'widths'> {
  readonly kind: 'embedding';
  /** Family of the models that it fits; null for other widths than theirs. */
  readonly family: string | null;
  /** Number of training steps; null if the file does not state it. */
  readonly steps: number | null;
  /** Name of the checkpoint that it was trained with; null if the file does not state it. */
  readonly baseModel: string | null;
}

/** Names of A1111, kohya and the trainers of diffusers. */
const NAME = /^(?:string_to_param\b.*|emb_params|clip_[lg]|text_encoders_[01])$/;
const FLOATS: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16']);

/** Returns true for names that embeddings have, or a single table that is named after its token, as diffusers saves it. */
export function isEmbedding(tensors: TensorIndex): boolean {
  const all = [...tensors.values()];
  if (all.some(({ name }) => NAME.test(name))) return true;
  const [first, ...more] = all;
  if (first === undefined || more.length > 0) return false;
  const { name, shape, dtype } = first;
  const isTable = shape.length === 1 || shape.length === 2;
  return isTable && !name.includes('.') && FLOATS.has(dtype);
}

/** Describes an embedding. @throws ADAPTER_NOT_FOUND, INVALID_FILE, UNSUPPORTED_ADAPTER, NOT_FINITE */
export async function inspectEmbedding(path: string): Promise<InspectedEmbedding> {
  const { name, hash, vectors, widths, ...file } = await readEmbedding(path);
  return {
    ...{ path: file.path, kind: 'embedding', family: embeddingFamily(widths), name, hash, vectors, widths },
    ...{ steps: file.step ?? null, baseModel: file.sdCheckpointName ?? null },
  };
}
