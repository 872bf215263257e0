/** Reads the files that test/reference/t5.py wrote to test/fixtures/t5. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export function readT5Fixture<T>(name: string): T {
  const bytes = readFileSync(new URL(`../../fixtures/t5/${name}.json.gz`, import.meta.url));
  return JSON.parse(gunzipSync(bytes).toString('utf8')) as T;
}

/** A tokenizer.json that contains sentencepiece's character map. */
export interface TokenizerJson {
  readonly normalizer: { readonly type: string; readonly precompiled_charsmap: string };
  readonly added_tokens: readonly Record<string, unknown>[];
  readonly model: Readonly<Record<string, unknown>> & {
    readonly vocab: readonly (readonly [string, number])[];
  };
  readonly [part: string]: unknown;
}

export const tokenizerJson = (): TokenizerJson => readT5Fixture<TokenizerJson>('tokenizer');
