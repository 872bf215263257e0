/** Lists the embeddings of the models folder. */
import { relative, sep } from 'node:path';
import { type EmbeddingFile, readEmbedding } from '../../adapters/embeddings/embedding-file.js';
import type { EmbeddingEntry, EmbeddingFolder } from '../../adapters/embeddings/embedding-folder.js';
import { embeddingFamily } from '../../families/shared/unet/lora-family.js';
import { FileCache } from '../../files/file-cache.js';
import { mapConcurrently } from './map-concurrently.js';
import { problemOf } from './problem.js';
import { Siblings } from './siblings.js';

/** An embedding as `GET /v1/adapters` returns it; null stands for unknown. */
export interface ListedEmbedding {
  readonly name: string;
  /** Path relative to the folder of embeddings, with `/`. */
  readonly file: string;
  readonly family: string | null;
  readonly vectors: number | null;
  readonly widths: readonly number[];
  readonly hash: string | null;
  readonly thumbnail: boolean;
  /** Reason why it cannot be used. */
  readonly problem?: string;
}

/** An embedding without its vectors, of which thousands fit in memory. */
export type EmbeddingFacts = Omit<EmbeddingFile, 'tables'>;

/** An embedding that was read, or an error. */
export interface ReadEntry extends EmbeddingEntry {
  /** Path relative to the folder of embeddings, with `/`. */
  readonly file: string;
  readonly facts?: EmbeddingFacts;
  readonly error?: unknown;
}

const IMAGE = /\.(?:png|webp)$/i;

export class EmbeddingList {
  private readonly cache = new FileCache(factsOf);

  constructor(private readonly folder: EmbeddingFolder) {}

  /** Reads the embeddings, sorted by path; none if the folder does not exist. */
  async read(): Promise<ReadEntry[]> {
    return mapConcurrently(await this.folder.listIfPresent(), async ({ name, path }): Promise<ReadEntry> => {
      const file = relative(this.folder.path, path).split(sep).join('/');
      try {
        return { name, path, file, facts: await this.cache.get(path) };
      } catch (error) {
        return { name, path, file, error };
      }
    });
  }

  async list(): Promise<ListedEmbedding[]> {
    const siblings = new Siblings();
    const all = await this.read();
    return Promise.all(
      all.map(async ({ name, path, file, facts, error }): Promise<ListedEmbedding> => {
        const thumbnail = (await imageOf(path, siblings)) !== undefined;
        if (!facts) {
          const unknown = { family: null, vectors: null, widths: [], hash: null };
          return { name, file, ...unknown, thumbnail, problem: problemOf(error, path, file) };
        }
        const { vectors, widths, hash } = facts;
        return { name, file, family: embeddingFamily(widths), vectors, widths, hash, thumbnail };
      }),
    );
  }
}

/** Returns the image of an embedding: the file itself, if it is an image, else the one beside it. */
export async function imageOf(path: string, siblings: Siblings): Promise<string | undefined> {
  return IMAGE.test(path) ? path : siblings.preview(path);
}

async function factsOf(path: string): Promise<EmbeddingFacts> {
  const { tables: _, ...facts } = await readEmbedding(path);
  return facts;
}
