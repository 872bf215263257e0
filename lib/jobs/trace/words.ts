/** Cross-attention maps of all words of a prompt, collected in one run. */

import { parsePrompt } from '../../conditioning/prompt.js';
import { SafelightError } from '../../errors.js';
import type { GenerationStep } from '../../pipelines/diffusion/generation.js';
import type { Pipeline } from '../../pipelines/diffusion/pipeline.js';
import { firstText } from '../../pipelines/diffusion/prompts/single-text.js';
import { AttentionSum, positionsOf } from '../../pipelines/trace/attention-map.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Maximum number of words; later words of a long prompt are ignored. */
const MAX_WORDS = 40;

export class WordMaps {
  private constructor(private readonly sums: ReadonlyMap<string, AttentionSum>) {}

  /** @throws errors of `Pipeline.tokenize` */
  static async of(pipeline: Pipeline, prompt: string): Promise<WordMaps> {
    const sums = new Map<string, AttentionSum>();
    const words = 'text_encoder' in pipeline.memory() ? wordsOf(prompt) : [];
    const chunks = words.length > 0 ? await pipeline.tokenize(prompt) : [];
    for (const word of words) {
      const [chunk] = await pipeline.tokenize(word, { raw: true });
      const ids = chunk!.ids.slice(1, chunk!.eosIndex);
      try {
        sums.set(word, new AttentionSum(positionsOf(word, ids, chunks)));
      } catch (error) {
        // Thrown for a word that the tokenizer merges with its neighbors; such words are skipped.
        if (!(error instanceof SafelightError && error.code === 'INVALID_OPTION')) throw error;
      }
    }
    return new WordMaps(sums);
  }

  add(step: GenerationStep): void {
    for (const sum of this.sums.values()) sum.add(step, 0);
  }

  /** Returns one map per word, `[h, w]` with values from 0 to 1, at the size of the latent. */
  maps(latent: Tensor): { readonly word: string; readonly map: Tensor }[] {
    const [height = 0, width = 0] = latent.shape.slice(-2);
    return [...this.sums].map(([word, sum]) => ({ word, map: sum.map(0, latent, width, height) }));
  }
}

/** Returns the distinct words of a prompt in order, without punctuation. */
export function wordsOf(prompt: string): string[] {
  const text = parsePrompt(firstText(prompt)).flatMap((part) => (part.kind === 'text' ? [part.text] : []));
  const words = text.join(' ').match(/[\p{L}\p{N}][\p{L}\p{N}\p{M}'’-]*/gu) ?? [];
  return [...new Set(words)].slice(0, MAX_WORDS);
}
