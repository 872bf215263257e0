/** Normalizes a text for a sentencepiece model, as the tokenizers library's `normalizer`s do, in order. */
import type { PrecompiledMap } from './precompiled.js';

/** All white space is in the basic multilingual plane. */
const SPACE = /\p{White_Space}/u;

export type NormalizerStep =
  | { readonly kind: 'precompiled'; readonly map: PrecompiledMap }
  | { readonly kind: 'strip'; readonly left: boolean; readonly right: boolean }
  | { readonly kind: 'replace'; readonly pattern: string | RegExp; readonly by: string };

export function normalizeText(text: string, steps: readonly NormalizerStep[]): string {
  return steps.reduce(applied, text);
}

function applied(text: string, step: NormalizerStep): string {
  switch (step.kind) {
    case 'precompiled':
      return step.map.normalize(text);
    case 'strip':
      return stripped(text, step);
    case 'replace':
      return text.replaceAll(step.pattern, () => step.by);
  }
}

function stripped(text: string, { left, right }: { left: boolean; right: boolean }): string {
  let [start, end] = [0, text.length];
  // A loop, since a regular expression anchored at the end would try every run of white space.
  while (left && start < end && SPACE.test(text[start]!)) start++;
  while (right && end > start && SPACE.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}
