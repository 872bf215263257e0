/**
 * Splits prompts of any length into chunks of the encoder's window, including start and end tokens. Chunks are
 * encoded separately and their encodings concatenated. Reference: A1111 `modules/sd_hijack_clip.py` (`tokenize_line`)
 * with its default comma setting of 20.
 */
import { SafelightError } from '../errors.js';
import type { PromptTokenizer } from '../tokenizers/prompt-tokenizer.js';
import type { PromptPart } from './prompt.js';
import { NameMatcher, type TokenEmbedding } from './token-embeddings.js';

/** A chunk of a prompt, of the length T of the text encoder's window. */
export interface Chunk {
  /** Token ids `[T]`, including start, end and padding; 0 for vectors of an embedding. */
  readonly ids: number[];
  /** Vocabulary strings of the ids, `[T]`; the name of an embedding for each of its vectors. */
  readonly tokens: string[];
  /** Emphasis weights `[T]`; 1 for start, end and padding. */
  readonly weights: number[];
  /** Position of the first end token, whose state is the pooled embedding. */
  readonly eosIndex: number;
  /** Embeddings whose vectors replace those of tokens. */
  readonly embeddings: readonly PlacedEmbedding[];
}

/** An embedding in a chunk. */
export interface PlacedEmbedding {
  readonly embedding: TokenEmbedding;
  /** Position of its first vector in the window. */
  readonly position: number;
}

export interface ChunkOptions {
  /**
   * If the last comma of a full chunk is at most this many tokens back, the tokens after it move to the next chunk.
   * Default 20; 0 disables.
   */
  readonly commaBacktrack?: number;
  /** Embeddings that replace their names. All must have vectors for each text encoder. */
  readonly embeddings?: readonly TokenEmbedding[];
}

/**
 * Tokenizes a parsed prompt and splits it into chunks. Each vector of an embedding takes the place of a token and has
 * the weight of its part; a chunk never ends inside an embedding.
 * @returns at least one chunk; for an empty prompt one of start, end and padding
 * @throws INVALID_OPTION for a window of less than 3 tokens, ADAPTER_MISMATCH for an embedding of more vectors than fit
 *   into a chunk
 */
export function chunkPrompt(
  tokenizer: PromptTokenizer,
  parts: readonly PromptPart[],
  { commaBacktrack = 20, embeddings = [] }: ChunkOptions = {},
): Chunk[] {
  const room = tokenizer.window - 2;
  if (room < 1)
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected a window of at least 3 tokens for the text encoder, received ${tokenizer.window}`,
    );
  const matcher = new NameMatcher(tokenizer, embeddings);
  const windows: Slot[][] = [];
  let window: Slot[] = [];
  /** Index of the last comma in the window, or -1. */
  let comma = -1;
  const close = () => {
    windows.push(window);
    window = [];
    comma = -1;
  };

  for (const part of parts) {
    if (part.kind === 'break') {
      close();
      continue;
    }
    const ids = tokenizer.encode(part.text);
    for (let position = 0; position < ids.length; ) {
      const id = ids[position]!;
      const match = matcher.at(ids, position);
      if (id === tokenizer.comma && !match) {
        comma = window.length;
      } else if (window.length === room && comma >= 0 && room - comma <= commaBacktrack) {
        const moved = window.splice(comma + 1);
        close();
        window = moved;
      }
      if (window.length === room) close();
      if (match) {
        const slots = slotsOf(match.item, part.weight, room);
        if (window.length + slots.length > room) close();
        window.push(...slots);
      } else {
        window.push({ id, weight: part.weight });
      }
      position += match?.length ?? 1;
    }
  }
  if (window.length > 0 || windows.length === 0) close();
  return windows.map((slots) => finish(tokenizer, slots));
}

/** A token, or a vector of an embedding. */
interface Slot {
  readonly id: number;
  readonly weight: number;
  readonly embedding?: TokenEmbedding;
  /** Index of the vector. */
  readonly vector?: number;
}

/** Id in place of a vector, valid in any vocabulary. */
const PLACEHOLDER = 0;

function slotsOf(embedding: TokenEmbedding, weight: number, room: number): Slot[] {
  const count = embedding.tables[0]?.shape[0] ?? 0;
  if (count > room)
    throw new SafelightError(
      'ADAPTER_MISMATCH',
      `The embedding ${JSON.stringify(embedding.name)} has ${count} vectors, but a chunk of the prompt has room for ${room}; use an embedding of at most ${room} vectors`,
    );
  return Array.from({ length: count }, (_, vector) => ({ id: PLACEHOLDER, weight, embedding, vector }));
}

function finish(tokenizer: PromptTokenizer, slots: readonly Slot[]): Chunk {
  const { window, bos, eos, pad } = tokenizer;
  const rest = window - slots.length - 2;
  const ids = [bos, ...slots.map(({ id }) => id), eos, ...Array<number>(rest).fill(pad)];
  const nameAt = (position: number): string | undefined => slots[position - 1]?.embedding?.name;
  return {
    ids,
    tokens: tokenizer.tokens(ids).map((token, i) => nameAt(i) ?? token),
    weights: [1, ...slots.map(({ weight }) => weight), ...Array<number>(rest + 1).fill(1)],
    eosIndex: ids.findIndex((id, i) => id === eos && nameAt(i) === undefined),
    embeddings: slots.flatMap(({ embedding, vector }, i) =>
      embedding && vector === 0 ? [{ embedding, position: i + 1 }] : [],
    ),
  };
}
