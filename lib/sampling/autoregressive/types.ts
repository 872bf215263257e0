/** Interfaces of autoregressive sampling of code indices. */
import type { Tensor } from '../../tensor/tensor.js';

/** A model that predicts the logits of the next code of a sequence, such as `LatentTransformer`. */
export interface CodeModel {
  /** Number of codes; each is in `[0, vocabulary)`. */
  readonly vocabulary: number;
  /** Longest sequence in positions, including the condition. */
  readonly block: number;
  /** Computes the logits `[B, T, vocabulary]` at each position of codes `[B, T]`. */
  forward(
    inputs: { readonly codes: Tensor<Int32Array> },
    options: CodeCall,
  ): Promise<{ readonly logits: Tensor }>;
  /** Starts an empty sequence with a key-value cache. */
  begin(): CodeWriter;
}

export interface CodeCall {
  readonly signal?: AbortSignal | undefined;
}

/** A growing batch of sequences of equal length. */
export interface CodeWriter {
  /** Appends codes `[B, T]` and returns the logits `[B, vocabulary]` of the next code. */
  append(inputs: { readonly codes: Tensor<Int32Array> }, options: CodeCall): Promise<Tensor>;
  dispose(): void;
}

/** Code indices of one image or of its condition. */
export type CodeIndices = ArrayLike<number>;

/** State after sampling one more code of each image. */
export interface CodeIndexStep {
  /** Codes sampled so far, of `total`. */
  readonly done: number;
  readonly total: number;
  /** Position of the last code, counted row by row. */
  readonly place: number;
  /**
   * Copies of the codes, one row per image, row by row. Codes not yet sampled keep their initial value (0 by
   * default).
   */
  readonly codes: readonly Int32Array[];
}
