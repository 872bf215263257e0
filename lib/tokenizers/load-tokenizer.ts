import type { PromptTokenizer } from './prompt-tokenizer.js';
import type { TokenizerSource } from './reading/tokenizer-files.js';
import { Tokenizer, type TokenizerOptions } from './tokenizer.js';
import { WordPieceTokenizer } from './wordpiece.js';

/** Creates the tokenizer of a text encoder, CLIP's or BERT's. @throws INVALID_FILE */
export async function loadTokenizer(
  source: TokenizerSource,
  options: TokenizerOptions & { readonly window: number },
): Promise<PromptTokenizer> {
  if (source !== 'standard' && 'kind' in source) return new WordPieceTokenizer(source, options.window);
  return Tokenizer.load(source, options);
}
