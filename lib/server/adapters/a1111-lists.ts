/** Lists of LoRAs and embeddings in the form of A1111's API. */
import { openWeights } from '../../checkpoint/formats/open-weights.js';
import { FileCache } from '../../files/file-cache.js';
import type { Json } from '../../jobs/json.js';
import type { AdapterLibrary } from './library.js';
import { mapConcurrently } from './map-concurrently.js';

interface LoraItem {
  readonly name: string;
  /** Name under which it was trained; `name` if the file does not state one. */
  readonly alias: string;
  /** Path relative to the models folder, like `filename` of checkpoints. */
  readonly path: string;
  readonly metadata: Readonly<Record<string, Json>>;
}

interface EmbeddingItem {
  readonly step: number | null;
  readonly sd_checkpoint: string | null;
  readonly sd_checkpoint_name: string | null;
  /** Width of the vectors. */
  readonly shape: number;
  readonly vectors: number;
}

export class A1111Adapters {
  private readonly metadata = new FileCache(metadataOf);

  constructor(private readonly library: Pick<AdapterLibrary, 'loras' | 'embeddings'>) {}

  /** Lists the LoRAs; the metadata of a file that cannot be read are empty. */
  async loras(): Promise<LoraItem[]> {
    const entries = await this.library.loras();
    return mapConcurrently(entries, async ({ name, alias = name, file, path }) => ({
      ...{ name, alias, path: `loras/${file}` },
      metadata: await this.metadata.get(path).catch(() => ({})),
    }));
  }

  /**
   * Lists the embeddings; those that cannot be read are left out. None are skipped, because `skipped` depends on the
   * loaded model, and a request may name another one.
   */
  async embeddings(): Promise<{ loaded: Record<string, EmbeddingItem>; skipped: Record<string, never> }> {
    const loaded: [string, EmbeddingItem][] = [];
    for (const { name, facts } of await this.library.embeddings()) {
      if (!facts) continue;
      const { step = null, sdCheckpoint = null, sdCheckpointName = null, widths, vectors } = facts;
      const checkpoint = { sd_checkpoint: sdCheckpoint, sd_checkpoint_name: sdCheckpointName };
      // A1111 states the sum of the widths for SDXL's two text encoders.
      const shape = widths.reduce((sum, width) => sum + width, 0);
      loaded.push([name, { step, ...checkpoint, shape, vectors }]);
    }
    return { loaded: Object.fromEntries(loaded), skipped: {} };
  }
}

/** Reads the text metadata of a safetensors file; texts that are JSON objects are parsed, as A1111 does. */
async function metadataOf(path: string): Promise<Record<string, Json>> {
  const { notes } = await openWeights(path);
  return Object.fromEntries([...notes].map(([name, text]) => [name, parsed(text)]));
}

function parsed(text: string): Json {
  if (!text.startsWith('{')) return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
