import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Reads a fixture that test/reference/text.py wrote. */
export function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../fixtures/text/${name}.json`, import.meta.url), 'utf8')) as T;
}

/** The starter's tokenizer: 4,014 tokens, windows of 32. */
export const STARTER = fileURLToPath(new URL('../../../models/starter/tokenizer', import.meta.url));
export const STARTER_WINDOW = 32;
