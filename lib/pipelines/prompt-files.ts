/** Folders and files that prompts and options refer to by name. */
import { EmbeddingFolder } from '../adapters/embeddings/embedding-folder.js';
import { LoraFolder } from '../adapters/lora-folder.js';
import { WildcardFolder } from '../conditioning/wildcard-folder.js';
import { UpscalerFolder } from './upscale/upscaler-folder.js';

/** Paths of the folders and files of a pipeline. */
export interface PromptFileOptions {
  /** Folder of LoRAs for tags in prompts, `<lora:name:0.8>`, with its subfolders. It is read at every call. */
  readonly loraFolder?: string;
  /**
   * Folder of embeddings (textual inversion), whose names in prompts stand for their vectors, with its subfolders. It is
   * read at every call, and may not exist yet.
   */
  readonly embeddingFolder?: string;
  /** Folder of wildcards for dynamic prompts: `__name__` stands for a line of `name.txt`. */
  readonly wildcardFolder?: string;
  /**
   * Folder of upscaler models for `hires.upscaler`, with its subfolders; of several folders, all are searched. They are
   * read at every call.
   */
  readonly upscalerFolder?: string | readonly string[];
  /** Styles in A1111's CSV format with the columns `name`, `prompt` and `negative_prompt`. */
  readonly stylesFile?: string;
}

export const promptFileKeys = [
  ...(['loraFolder', 'embeddingFolder', 'wildcardFolder', 'upscalerFolder', 'stylesFile'] as const),
] as const;

/** The opened folders of a pipeline; missing ones are undefined. */
export interface PromptFiles {
  readonly loras?: LoraFolder | undefined;
  readonly embeddings?: EmbeddingFolder | undefined;
  readonly wildcards?: WildcardFolder | undefined;
  readonly upscalers?: UpscalerFolder | undefined;
  readonly styles?: string | undefined;
}

/** Opens the folders; nothing is read yet. */
export function openPromptFiles(options: PromptFileOptions): PromptFiles {
  const { loraFolder, embeddingFolder, wildcardFolder, upscalerFolder, stylesFile } = options;
  return {
    loras: loraFolder === undefined ? undefined : new LoraFolder(loraFolder),
    embeddings: embeddingFolder === undefined ? undefined : new EmbeddingFolder(embeddingFolder),
    wildcards: wildcardFolder === undefined ? undefined : new WildcardFolder(wildcardFolder),
    upscalers: upscalerFolder === undefined ? undefined : new UpscalerFolder(upscalerFolder),
    styles: stylesFile,
  };
}
