/**
 * Textual inversion: names in a prompt that stand for learned token embeddings (Gal et al. 2022, arXiv:2208.01618).
 * Reference of the matching: A1111 `modules/textual_inversion/textual_inversion.py` (`find_embedding_at_position`).
 */
import type { Tensor } from '../tensor/tensor.js';
import type { PromptTokenizer } from '../tokenizers/prompt-tokenizer.js';

/** An embedding for the text encoders of a model. */
export interface TokenEmbedding {
  /** Name under which prompts contain it. */
  readonly name: string;
  /** Identifies the content, for cache keys. */
  readonly identity: string;
  /** Vectors `[n, width]` for each text encoder of the model, in their order; undefined if the file has none for it. */
  readonly tables: readonly (Tensor | undefined)[];
}

/** Embeddings that prompts may name, read on demand. */
export interface EmbeddingSource {
  readonly names: readonly string[];
  read(name: string): Promise<TokenEmbedding>;
}

/** Embeddings whose names occur in prompts. */
export interface FoundEmbeddings {
  /** Those that fit the model and replace their names. */
  readonly used: readonly TokenEmbedding[];
  /** Those without vectors of the right width for each text encoder; their names remain text. */
  readonly misfits: readonly TokenEmbedding[];
}

/** Finds names in sequences of token ids, the longest first. */
export class NameMatcher<T extends { readonly name: string }> {
  /** Names by their first token id, those of more tokens first. */
  private readonly byFirst = new Map<number, { readonly ids: readonly number[]; readonly item: T }[]>();

  /** @param items of names that have the same tokens, the first one counts */
  constructor(tokenizer: PromptTokenizer, items: readonly T[]) {
    for (const item of items) {
      const ids = tokenizer.encode(item.name);
      const [first] = ids;
      if (first === undefined) continue;
      const entries = this.byFirst.get(first) ?? [];
      entries.push({ ids, item });
      this.byFirst.set(first, entries);
    }
    // Sorting is stable, so items of equal length keep their order.
    for (const entries of this.byFirst.values()) entries.sort((a, b) => b.ids.length - a.ids.length);
  }

  /** Returns the item whose name's tokens begin at a position, and their number. */
  at(ids: readonly number[], position: number): { readonly item: T; readonly length: number } | undefined {
    const entries = this.byFirst.get(ids[position]!) ?? [];
    const match = entries.find(({ ids: name }) => name.every((id, i) => ids[position + i] === id));
    return match && { item: match.item, length: match.ids.length };
  }

  /** Returns all items in a text, without overlaps, each once. */
  within(ids: readonly number[]): Set<T> {
    const found = new Set<T>();
    for (let position = 0; position < ids.length; ) {
      const match = this.at(ids, position);
      if (match) found.add(match.item);
      position += match?.length ?? 1;
    }
    return found;
  }
}

/** Returns true if an embedding has the same number of vectors, of the right width, for each text encoder. */
export function fitsEncoders({ tables }: TokenEmbedding, widths: readonly number[]): boolean {
  const vectors = tables[0]?.shape[0] ?? 0;
  return (
    vectors > 0 &&
    tables.length === widths.length &&
    tables.every((table, i) => table?.shape.length === 2 && table.shape[1] === widths[i]) &&
    tables.every((table) => table?.shape[0] === vectors)
  );
}

/**
 * Reads the embeddings whose names occur. The name of one that does not fit the model remains text, in which shorter
 * names may occur.
 * @param find returns the names that occur, out of those given
 * @throws errors of reading an embedding whose name occurs
 */
export async function readNamed(
  find: (names: readonly string[]) => readonly string[],
  { names, read }: EmbeddingSource,
  widths: readonly number[],
): Promise<FoundEmbeddings> {
  const embeddings = new Map<string, TokenEmbedding>();
  const misfits: TokenEmbedding[] = [];
  for (let candidates = names; ; ) {
    const found = find(candidates);
    for (const name of found) if (!embeddings.has(name)) embeddings.set(name, await read(name));
    const unfit = found.filter((name) => !fitsEncoders(embeddings.get(name)!, widths));
    if (unfit.length === 0) return { used: found.map((name) => embeddings.get(name)!), misfits };
    misfits.push(...unfit.map((name) => embeddings.get(name)!));
    candidates = candidates.filter((name) => !unfit.includes(name));
  }
}
