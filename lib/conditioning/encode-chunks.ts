/** Encoding of a prompt's chunks by one text encoder: batches, vectors of embeddings, emphasis. */
import type { TextEncoderSource } from '../checkpoint/model-descriptor.js';
import type { TextEncoder, TextEncoderInputs } from '../modules/text-encoder.js';
import { throwIfNotFinite } from '../tensor/finite.js';
import { Tensor } from '../tensor/tensor.js';
import type { PromptTokenizer } from '../tokenizers/prompt-tokenizer.js';
import type { Chunk } from './chunks.js';
import { applyEmphasis, type Emphasis } from './emphasis.js';
import type { Encoding } from './encoding.js';

/** A loaded text encoder with its tokenizer and description. */
export interface LoadedEncoder {
  readonly encoder: TextEncoder;
  readonly tokenizer: PromptTokenizer;
  readonly source: TextEncoderSource;
}

export interface EncodeChunksOptions {
  /** Index of the encoder among those of the model, which selects the tables of embeddings. */
  readonly index: number;
  /** Hidden state to use. */
  readonly layer: number;
  readonly emphasis: Emphasis;
  readonly patches: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Chunks per run of the text encoder, which bounds its memory independently of the prompt's length. */
const CHUNKS_PER_RUN = 8;

/** @throws NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED */
export async function encodeChunks(
  { encoder, tokenizer, source }: LoadedEncoder,
  chunks: readonly Chunk[],
  { index, layer, emphasis, patches, signal }: EncodeChunksOptions,
): Promise<Encoding> {
  const width = source.config.hidden_size;
  const states = new Float32Array(chunks.length * tokenizer.window * width);
  let pooled: Tensor | undefined;
  for (let first = 0; first < chunks.length; first += CHUNKS_PER_RUN) {
    const batch = chunks.slice(first, first + CHUNKS_PER_RUN);
    const wantsPooled = source.pooled && first === 0;
    const inputs: TextEncoderInputs = {
      tokens: Tensor.from(Int32Array.from(batch.flatMap((chunk) => chunk.ids)), [
        batch.length,
        tokenizer.window,
      ]),
      ...vectorInputs(batch, index, tokenizer.window, width),
      ...(wantsPooled
        ? {
            eosIndex: Tensor.from(
              Int32Array.from(batch, (chunk) => chunk.eosIndex),
              [batch.length],
            ),
          }
        : {}),
    };
    const output = await encoder.encode(inputs, { layer, finalNorm: source.finalNorm, patches, signal });
    throwIfNotFinite(output.hidden.data, 'The encoded prompt');
    batch.forEach((chunk, i) => {
      const state = applyEmphasis(output.hidden.at(i).data, chunk.weights, emphasis);
      states.set(state, (first + i) * tokenizer.window * width);
    });
    if (wantsPooled) pooled = output.pooled?.slice([0, 1]);
  }
  return {
    context: Tensor.from(states, [1, chunks.length * tokenizer.window, width]),
    pooled,
    chunks: chunks.length,
  };
}

/** Returns the vectors of the chunks' embeddings and their positions; no inputs without embeddings. */
function vectorInputs(
  chunks: readonly Chunk[],
  index: number,
  window: number,
  width: number,
): Pick<TextEncoderInputs, 'vectors' | 'vectorMask'> {
  if (chunks.every(({ embeddings }) => embeddings.length === 0)) return {};
  const vectors = Tensor.zeros([chunks.length, window, width]);
  const vectorMask = Tensor.zeros([chunks.length, window]);
  chunks.forEach(({ embeddings }, i) => {
    for (const { embedding, position } of embeddings) {
      const table = embedding.tables[index]!;
      const at = i * window + position;
      vectors.data.set(table.data, at * width);
      vectorMask.data.fill(1, at, at + table.shape[0]!);
    }
  });
  return { vectors, vectorMask };
}
