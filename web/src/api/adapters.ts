/** Types of `GET /v1/adapters`; null stands for unknown. */
export interface Lora {
  readonly name: string;
  readonly alias?: string;
  /** Path relative to the folder of LoRAs. */
  readonly file: string;
  readonly kind: string | null;
  readonly family: string | null;
  readonly triggerWords: readonly string[];
  readonly baseModel: string | null;
  readonly rank: number | readonly number[] | null;
  readonly hash: string | null;
  /** Preferred weight. */
  readonly weight?: number;
  readonly thumbnail: boolean;
  /** Reason why it cannot be used. */
  readonly problem?: string;
}

export interface Embedding {
  readonly name: string;
  /** Path relative to the folder of embeddings. */
  readonly file: string;
  readonly family: string | null;
  readonly vectors: number | null;
  readonly widths: readonly number[];
  readonly hash: string | null;
  readonly thumbnail: boolean;
  /** Reason why it cannot be used. */
  readonly problem?: string;
}

export interface Adapters {
  /** False if the server has no models folder. */
  readonly configured: boolean;
  readonly loras: readonly Lora[];
  readonly embeddings: readonly Embedding[];
}

/** Returns the URL of the image beside a file. */
export function thumbnailUrl(kind: 'loras' | 'embeddings', file: string): string {
  return `v1/adapters/${kind}/thumbnail?file=${encodeURIComponent(file)}`;
}
