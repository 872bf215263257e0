/**
 * Splits prompts of any length into chunks of the encoder's window, including start and end tokens. Chunks are
 * encoded separately and their encodings concatenated. Reference: A1111 `modules/sd_hijack_clip.py` (`tokenize_line`)
 * with its default comma setting of 20.
 */
import { SafelightError } from '../errors.js';
import type { PromptTokenizer } from '../tokenizers/prompt-tokenizer.js';
import type { PromptPart } from './prompt.js';

/** A chunk of a prompt, of the length T of the text encoder's window. */
export interface Chunk {
  /** Token ids `[T]`, including start, end and padding. */
  readonly ids: number[];
  /** Vocabulary strings of the ids, `[T]`. */
  readonly tokens: string[];
  /** Emphasis weights `[T]`; 1 for start, end and padding. */
  readonly weights: number[];
  /** Position of the first end token, whose state is the pooled embedding. */
  readonly eosIndex: number;
}

export interface ChunkOptions {
  /**
   * If the last comma of a full chunk is at most this many tokens back, the tokens after it move to the next chunk.
   * Default 20; 0 disables.
   */
  readonly commaBacktrack?: number;
}

/**
 * Tokenizes a parsed prompt and splits it into chunks.
 * @returns at least one chunk; for an empty prompt one of start, end and padding
 * @throws INVALID_OPTION for a window of less than 3 tokens
 */
export function chunkPrompt(
  tokenizer: PromptTokenizer,
  parts: readonly PromptPart[],
  { commaBacktrack = 20 }: ChunkOptions = {},
): Chunk[] {
  const room = tokenizer.window - 2;
  if (room < 1)
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected a window of at least 3 tokens for the text encoder, received ${tokenizer.window}`,
    );
  const windows: Window[] = [];
  let window: Window = { ids: [], weights: [] };
  /** Index of the last comma in the window, or -1. */
  let comma = -1;
  const close = () => {
    windows.push(window);
    window = { ids: [], weights: [] };
    comma = -1;
  };

  for (const part of parts) {
    if (part.kind === 'break') {
      close();
      continue;
    }
    for (const id of tokenizer.encode(part.text)) {
      const full = window.ids.length === room;
      if (id === tokenizer.comma) {
        comma = window.ids.length;
      } else if (full && comma >= 0 && room - comma <= commaBacktrack) {
        const moved = { ids: window.ids.splice(comma + 1), weights: window.weights.splice(comma + 1) };
        close();
        window = moved;
      }
      if (window.ids.length === room) close();
      window.ids.push(id);
      window.weights.push(part.weight);
    }
  }
  if (window.ids.length > 0 || windows.length === 0) close();
  return windows.map((tokens) => finish(tokenizer, tokens));
}

interface Window {
  ids: number[];
  weights: number[];
}

function finish(tokenizer: PromptTokenizer, { ids: inner, weights }: Window): Chunk {
  const { window, bos, eos, pad } = tokenizer;
  const rest = window - inner.length - 2;
  const ids = [bos, ...inner, eos, ...Array<number>(rest).fill(pad)];
  const eosIndex = ids.indexOf(eos);
  return {
    ids,
    tokens: tokenizer.tokens(ids),
    weights: [1, ...weights, ...Array<number>(rest + 1).fill(1)],
    eosIndex,
  };
}
