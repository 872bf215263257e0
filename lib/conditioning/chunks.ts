/**
 * Windows of a fixed length, start and end tokens included, out of a prompt of any length. Each is encoded apart and the encodings are
 * joined. Facts: A1111 `modules/sd_hijack_clip.py` (`tokenize_line`), with its setting of 20 tokens for commas.
 */
import { SafelightError } from '../errors.js';
import type { PromptTokenizer } from '../tokenizers/prompt-tokenizer.js';
import type { PromptPart } from './prompt.js';

/** One window of a prompt. */
export interface Chunk {
  /** [T], start, end and padding included. */
  readonly ids: number[];
  /** The vocabulary's string of each id, [T]. */
  readonly tokens: string[];
  /** Of each token, [T]; 1 for start, end and padding. */
  readonly weights: number[];
  /** Position of the first end token: the state that is pooled. */
  readonly eosIndex: number;
}

export interface ChunkOptions {
  /** Where a full window's last comma is at most so many tokens back, what follows it moves on; 0 cuts anywhere. Default 20. */
  readonly commaBacktrack?: number;
}

/**
 * Tokenizes parts of a prompt and lays them into windows.
 * @returns at least one chunk; an empty prompt gives one of start, end and padding
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
      `Expected a window of at least 3 tokens for the text encoder but received ${tokenizer.window}`,
    );
  const windows: Window[] = [];
  let window: Window = { ids: [], weights: [] };
  /** Index of the window's last comma, or -1. */
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
  return windows.map((one) => finish(tokenizer, one));
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
