/** LoRAs and embeddings of the server's models folder, for lists and thumbnails. Folders are read on every call. */
import { EmbeddingFolder } from '../../adapters/embeddings/embedding-folder.js';
import { type LoraEntry, LoraFolder } from '../../adapters/lora-folder.js';
import { SafelightError } from '../../errors.js';
import type { PromptFileOptions } from '../../pipelines/prompt-files.js';
import { EmbeddingList, imageOf, type ListedEmbedding, type ReadEntry } from './embedding-list.js';
import { Hashes } from './hashes.js';
import { type ListedLora, LoraList } from './lora-list.js';
import { Siblings } from './siblings.js';
import { type Thumbnail, Thumbnails } from './thumbnails.js';

export interface AdapterLists {
  /** False if the server has no models folder. */
  readonly configured: boolean;
  readonly loras: readonly ListedLora[];
  readonly embeddings: readonly ListedEmbedding[];
}

export type AdapterKind = 'loras' | 'embeddings';

/** Milliseconds that a list waits for hashes. */
const PATIENCE = 250;

export class AdapterLibrary {
  private readonly loraList: LoraList | undefined;
  private readonly embeddingList: EmbeddingList | undefined;
  private readonly thumbnails = new Thumbnails();
  /** Paths of the listed files, by their relative paths. */
  private readonly listed = { loras: new Map<string, string>(), embeddings: new Map<string, string>() };

  /** @param closing aborted when the server closes */
  constructor({ loraFolder, embeddingFolder }: PromptFileOptions, closing: AbortSignal) {
    if (loraFolder !== undefined)
      this.loraList = new LoraList(new LoraFolder(loraFolder), new Hashes(closing));
    if (embeddingFolder !== undefined)
      this.embeddingList = new EmbeddingList(new EmbeddingFolder(embeddingFolder));
  }

  /**
   * Describes all files; those that cannot be used have a `problem`.
   * @param allHashes waits until all hashes are computed
   */
  async list(allHashes = false): Promise<AdapterLists> {
    const [loras = [], embeddings = []] = await Promise.all([
      this.loraList?.list(allHashes ? Number.POSITIVE_INFINITY : PATIENCE),
      this.embeddingList?.list(),
    ]);
    return { configured: this.loraList !== undefined, loras, embeddings };
  }

  async loras(): Promise<readonly LoraEntry[]> {
    return (await this.loraList?.entries()) ?? [];
  }

  async embeddings(): Promise<readonly ReadEntry[]> {
    return (await this.embeddingList?.read()) ?? [];
  }

  /**
   * Returns the thumbnail of a listed file. Other paths are never read, so a path cannot leave the folder.
   * @param file path relative to the folder @throws FILE_NOT_FOUND
   */
  async thumbnail(kind: AdapterKind, file: string): Promise<Thumbnail> {
    if (!this.listed[kind].has(file)) await this.relist(kind);
    const path = this.listed[kind].get(file);
    if (path === undefined)
      throw new SafelightError(
        'FILE_NOT_FOUND',
        `The folder ${kind} has no file ${JSON.stringify(file.slice(0, 200))}; GET /v1/adapters lists its files`,
      );
    const siblings = new Siblings();
    const image = await (kind === 'loras' ? siblings.preview(path) : imageOf(path, siblings));
    if (image !== undefined) return this.thumbnails.get(image);
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `${file} has no preview image; put one of the same name beside it, such as NAME.png`,
    );
  }

  private async relist(kind: AdapterKind): Promise<void> {
    const entries = kind === 'loras' ? await this.loras() : await this.embeddings();
    this.listed[kind] = new Map(entries.map(({ file, path }) => [file, path]));
  }
}
