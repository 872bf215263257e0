/** A tokenizer of prompts: CLIP's byte pairs or BERT's pieces of words. */
export interface PromptTokenizer {
  /** Tokens of a window, start and end included. */
  readonly window: number;
  readonly bos: number;
  readonly eos: number;
  readonly pad: number;
  /** Where windows are best cut; undefined if the vocabulary has none. */
  readonly comma: number | undefined;
  /** Ids of a text, without start, end and padding; never cut. */
  encode(text: string): number[];
  /** The vocabulary's string of each id. */
  tokens(ids: readonly number[]): string[];
}
