/**
 * The AI SDK's image model specification, version 3, as far as Safelight reads and writes it.
 *
 * AI SDK 6 accepts version 3 and refuses version 4; AI SDK 7 accepts both, and takes a version 3 image model as it is, since the two
 * differ in nothing but their number. So one model object of version 3 works in both. The types are written out here because the package
 * that declares them, `@ai-sdk/provider`, drops and adds names between versions and is not always where `safelight/ai` could import it
 * (pnpm). `test/ai` checks them against both SDKs.
 */

/** The version that both supported AI SDKs accept. */
export const SPECIFICATION_VERSION = 'v3' as const;

export type ImageModelFile =
  | { type: 'file'; mediaType: string; data: string | Uint8Array }
  | { type: 'url'; url: string };

export interface ImageModelCallOptions {
  prompt: string | undefined;
  /** Images of this call. */
  n: number;
  size: `${number}x${number}` | undefined;
  aspectRatio: `${number}:${number}` | undefined;
  seed: number | undefined;
  files: ImageModelFile[] | undefined;
  mask: ImageModelFile | undefined;
  /** Options by provider; Safelight reads those under `safelight`. */
  providerOptions: { [provider: string]: { [option: string]: unknown } };
  abortSignal?: AbortSignal;
}

export type ImageModelWarning =
  | { type: 'unsupported' | 'compatibility'; feature: string; details?: string }
  | { type: 'other'; message: string };

/** One image as `providerMetadata.safelight.images` describes it. */
export type ImageModelImageMetadata = {
  seed: number | null;
  width: number;
  height: number;
  /** A1111's parameters text. */
  parameters: string;
};

export interface ImageModelResult {
  images: Uint8Array[];
  warnings: ImageModelWarning[];
  providerMetadata: { safelight: { images: ImageModelImageMetadata[] } };
  response: { timestamp: Date; modelId: string; headers: undefined };
}

/** A value of a model's or provider's `specificationVersion`. */
export type SpecificationVersion = typeof SPECIFICATION_VERSION;
