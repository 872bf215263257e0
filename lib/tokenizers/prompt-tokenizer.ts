/** A tokenizer of prompts: CLIP's byte pair encoding or BERT's WordPiece. */
export interface PromptTokenizer {
  /** Window length in tokens, including start and end tokens. */
  readonly window: number;
  readonly bos: number;
  readonly eos: number;
  readonly pad: number;
  /** Id of the comma, after which prompts are preferably split into windows; undefined if the vocabulary has none. */
  readonly comma: number | undefined;
  /** Returns the ids of a text without start token, end token and padding, never truncated. */
  encode(text: string): number[];
  /** Returns the vocabulary's string of each id. */
  tokens(ids: readonly number[]): string[];
}
