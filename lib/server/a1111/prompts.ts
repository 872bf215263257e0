/** Prepares prompts with A1111's syntax for the pipeline. */
import { type UnsupportedKind, unsupportedSyntax } from '../../conditioning/unsupported-syntax.js';
import { notSupported } from './failures.js';

const NETWORKS = 'remove networks such as <lora:name:1>';
/** Hints for A1111 prompt syntax that Safelight does not support. */
const HINTS: Readonly<Record<UnsupportedKind, string>> = {
  lora: NETWORKS,
  lyco: NETWORKS,
  hypernet: NETWORKS,
  editing: 'remove prompt editing ([from:to:when])',
  alternation: 'remove alternating words ([a|b])',
  AND: 'remove AND',
};

/**
 * Removes comments, from `#` to the end of a line, and checks the syntax.
 * @throws 422 with the name of the field for unsupported syntax
 */
export function checkedPrompt(field: string, prompt: string): string {
  const text = prompt.replace(/(^|\n)#[^\n]*(\n|$)/g, '\n').replace(/#[^\n]*(\n|$)/g, '\n');
  const clean = text === prompt ? prompt : text.trim();
  const [unsupported] = unsupportedSyntax(clean, { negative: field.includes('negative') });
  if (unsupported) throw notSupported(field, HINTS[unsupported.kind]);
  return clean;
}
