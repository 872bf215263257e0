/** Adapters in generation parameters: tags of LoRAs in the prompts, and hashes of LoRAs and embeddings. */
import type { EmbeddingFile } from '../../../adapters/embeddings/embedding-file.js';
import { loraHash } from '../../../adapters/lora-hash.js';
import { formatLoraTag } from '../../../adapters/lora-tag.js';
import { FileCache } from '../../../files/file-cache.js';
import type { GenerationOptions } from '../../../options/declarations/generation.js';
import type { Settings } from '../../options.js';
import { type ActiveLora, loraName } from './pass-prompts.js';

/** Fields of A1111's generation parameters, by label. */
export type HashFields = Readonly<Record<string, string>>;

const hashes = new FileCache((path) => loraHash(path));

/** Computes the fields `Lora hashes` and `TI hashes`; a field without entries is missing. */
export async function hashFields(
  loras: readonly ActiveLora[],
  embeddings: readonly EmbeddingFile[],
): Promise<HashFields> {
  const ofLoras = new Map<string, string>();
  for (const { name, settings } of loras) ofLoras.set(name, await hashes.get(settings.path));
  const ofEmbeddings = new Map(embeddings.map(({ name, hash }) => [name, hash]));
  return {
    ...(ofLoras.size > 0 ? { 'Lora hashes': formatted(ofLoras) } : {}),
    ...(ofEmbeddings.size > 0 ? { 'TI hashes': formatted(ofEmbeddings) } : {}),
  };
}

function formatted(byName: ReadonlyMap<string, string>): string {
  return [...byName].map(([name, hash]) => `${name.replace(/[:,]/g, '')}: ${hash}`).join(', ');
}

/**
 * Returns the options with the LoRAs of the option `loras` as tags in the prompts, since generation parameters have no
 * other place for them.
 */
export function withLoraTags(options: GenerationOptions, { loras, hires }: Settings): GenerationOptions {
  if (loras.length === 0) return options;
  const tags = loras.map((lora) => formatLoraTag({ ...lora, name: loraName(lora.path) })).join(' ');
  const tagged = (prompt: string | undefined): string => `${prompt ?? ''} ${tags}`.trim();
  return {
    ...options,
    prompt: tagged(options.prompt),
    ...(options.hires && hires?.prompt !== undefined
      ? { hires: { ...options.hires, prompt: tagged(hires.prompt) } }
      : {}),
  };
}
