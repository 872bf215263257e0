/** Description of a file that contains an adapter instead of a model. */
import type { TensorIndex } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import { type InspectedEmbedding, inspectEmbedding, isEmbedding } from './inspect-embedding.js';
import { type InspectedLora, inspectLora } from './inspect-lora.js';

const IMAGE = /\.(?:png|webp)$/i;

/** An adapter, with a sentence on why it cannot be run as a model. */
export interface FoundAdapter {
  readonly form: 'lora' | 'embedding';
  readonly problem: string;
  readonly family: string | null;
  readonly lora?: InspectedLora;
  readonly embedding?: InspectedEmbedding;
}

/** Returns the embedding in an image; null for other files. @throws INVALID_FILE, UNSUPPORTED_ADAPTER, NOT_FINITE */
export async function embeddingImageIn(path: string): Promise<FoundAdapter | null> {
  if (!IMAGE.test(path)) return null;
  const embedding = await inspectEmbedding(path);
  const problem = `${path} is an embedding, which adds words to a model's prompts, not a model`;
  return { form: 'embedding', problem, family: embedding.family, embedding };
}

/** Returns the adapter in a file, or the reason why the file is none. @throws FILE_NOT_FOUND, NOT_FINITE */
export async function adapterIn(path: string, tensors: TensorIndex): Promise<FoundAdapter | string> {
  try {
    if (isEmbedding(tensors)) {
      const embedding = await inspectEmbedding(path);
      const problem = `${path} is an embedding, which adds words to a model's prompts, not a model`;
      return { form: 'embedding', problem, family: embedding.family, embedding };
    }
    const lora = await inspectLora(path);
    const problem = `${path} is a LoRA, which changes a model: generate with a model and --lora`;
    return { form: 'lora', problem, family: lora.family, lora };
  } catch (error) {
    const codes = ['UNSUPPORTED_ADAPTER', 'INVALID_FILE'];
    if (error instanceof SafelightError && codes.includes(error.code)) return error.message;
    throw error;
  }
}
