/** Pictures as sequences of codes: what writes them, and what a sampling of them shows. */
import type { Tensor } from '../../tensor/tensor.js';

/** What gives the logits of a sequence's next code; `LatentTransformer` is one. */
export interface CodeModel {
  /** Codes there are: each is in `[0, vocabulary)`. */
  readonly vocabulary: number;
  /** Places it can look at, condition included. */
  readonly block: number;
  /** Logits `[B, T, vocabulary]` at each place of codes `[B, T]`. */
  forward(
    inputs: { readonly codes: Tensor<Int32Array> },
    options: CodeCall,
  ): Promise<{ readonly logits: Tensor }>;
  begin(): CodeWriter;
}

export interface CodeCall {
  readonly signal?: AbortSignal | undefined;
}

/** A batch of sequences that grow together. */
export interface CodeWriter {
  /** Reads codes `[B, T]`; gives the logits `[B, vocabulary]` of the next. */
  append(inputs: { readonly codes: Tensor<Int32Array> }, options: CodeCall): Promise<Tensor>;
  dispose(): void;
}

/** The codes of one picture or of its condition. */
export type CodeIndices = ArrayLike<number>;

/** One more code of each picture. */
export interface CodeIndexStep {
  /** Codes written so far, of `total`. */
  readonly done: number;
  readonly total: number;
  /** Which was written last, counted row by row. */
  readonly place: number;
  /** One a picture, row by row, those not yet written as they were before (0 where nothing was). Copies. */
  readonly codes: readonly Int32Array[];
}
