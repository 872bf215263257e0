/** Folders and files that prompts refer to by name. */
import { EmbeddingFolder } from '../adapters/embeddings/embedding-folder.js';
import { LoraFolder } from '../adapters/lora-folder.js';
import { WildcardFolder } from '../conditioning/wildcard-folder.js';

/** Paths of the folders and files of a pipeline. */
export interface PromptFileOptions {
  /** Folder of LoRAs for tags in prompts, `<lora:name:0.8>`, with its subfolders. It is read at every call. */
  readonly loraFolder?: string;
  /**
   * Folder of embeddings (textual inversion), whose names in prompts stand for their vectors, with its subfolders. It is
   * read at every call.
   */
  readonly embeddingFolder?: string;
  /** Folder of wildcards for dynamic prompts: `__name__` stands for a line of `name.txt`. */
  readonly wildcardFolder?: string;
  /** Styles in A1111's CSV format with the columns `name`, `prompt` and `negative_prompt`. */
  readonly stylesFile?: string;
}

export const promptFileKeys = ['loraFolder', 'embeddingFolder', 'wildcardFolder', 'stylesFile'] as const;

/** The opened folders of a pipeline; missing ones are undefined. */
export interface PromptFiles {
  readonly loras?: LoraFolder | undefined;
  readonly embeddings?: EmbeddingFolder | undefined;
  readonly wildcards?: WildcardFolder | undefined;
  readonly styles?: string | undefined;
}

/** Opens the folders; nothing is read yet. */
export function openPromptFiles(options: PromptFileOptions): PromptFiles {
  const { loraFolder, embeddingFolder, wildcardFolder, stylesFile } = options;
  return {
    loras: loraFolder === undefined ? undefined : new LoraFolder(loraFolder),
    embeddings: embeddingFolder === undefined ? undefined : new EmbeddingFolder(embeddingFolder),
    wildcards: wildcardFolder === undefined ? undefined : new WildcardFolder(wildcardFolder),
    styles: stylesFile,
  };
}
