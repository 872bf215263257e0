/** The cases of test/reference/prompt_grammar.py: prompts with A1111's syntax over time, AND and regions, and whole images. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import { generateOptions } from './pipeline-cases.js';
import { readJson, type TinyModel } from './tiny-models.js';

export const FIXTURES = fileURLToPath(new URL('../fixtures/prompt-grammar/', import.meta.url));

export interface PromptCase {
  readonly name: string;
  readonly model: TinyModel;
  /** Names of the command line's options, in camel case. */
  readonly options: Readonly<Record<string, string | number>>;
  /** Prompts without the construct that the case tests. */
  readonly neutral: Readonly<Record<string, string>>;
  readonly regions?: readonly { readonly mask: string; readonly prompt: string }[];
}

export const cases = readJson<PromptCase[]>(join(FIXTURES, 'cases.json'));

/** Returns the options of a case. */
export function optionsOf(one: PromptCase): GenerateOptions {
  const options = generateOptions({ ...one, images: [] });
  const regions = one.regions?.map(({ mask, prompt }) => ({ mask: join(FIXTURES, mask), prompt }));
  return { ...options, ...(regions ? { regions } : {}) } as GenerateOptions;
}

/** Returns the options of a case without its construct. */
export function neutralOptionsOf({ name, model, options, neutral }: PromptCase): GenerateOptions {
  return generateOptions({ name, model, options: { ...options, ...neutral }, images: [] });
}

/** Returns the mean difference of two images' bytes. */
export function meanDifference(actual: Uint8Array, expected: Uint8Array): number {
  return actual.reduce((sum, value, i) => sum + Math.abs(value - expected[i]!), 0) / expected.length;
}
