/**
 * Version 3 of the AI SDK's image model specification, limited to the parts that Safelight uses.
 *
 * AI SDK 6 accepts version 3 and rejects version 4; AI SDK 7 accepts both, which differ only in the version number for
 * image models. A version 3 model therefore works in both. The types are declared here, because `@ai-sdk/provider` adds
 * and removes type names between versions and cannot always be resolved from `safelight/ai` (pnpm). `test/ai` checks
 * them against both SDKs.
 */

/** The version that both supported AI SDKs accept. */
export const SPECIFICATION_VERSION = 'v3' as const;

export type ImageModelFile =
  | { type: 'file'; mediaType: string; data: string | Uint8Array }
  | { type: 'url'; url: string };

export interface ImageModelCallOptions {
  prompt: string | undefined;
  /** Number of images to generate in this call. */
  n: number;
  size: `${number}x${number}` | undefined;
  aspectRatio: `${number}:${number}` | undefined;
  seed: number | undefined;
  files: ImageModelFile[] | undefined;
  mask: ImageModelFile | undefined;
  /** Options by provider name; Safelight reads `safelight`. */
  providerOptions: { [provider: string]: { [option: string]: unknown } };
  abortSignal?: AbortSignal;
}

export type ImageModelWarning =
  | { type: 'unsupported' | 'compatibility'; feature: string; details?: string }
  | { type: 'other'; message: string };

/** Metadata of one image in `providerMetadata.safelight.images`. */
export type ImageModelImageMetadata = {
  seed: number | null;
  width: number;
  height: number;
  /** A1111's generation parameters text. */
  parameters: string;
};

export interface ImageModelResult {
  images: Uint8Array[];
  warnings: ImageModelWarning[];
  providerMetadata: { safelight: { images: ImageModelImageMetadata[] } };
  response: { timestamp: Date; modelId: string; headers: undefined };
}

/** Type of `specificationVersion` of models and providers. */
export type SpecificationVersion = typeof SPECIFICATION_VERSION;
