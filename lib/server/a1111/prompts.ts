/** Prompts as A1111's interface takes them, before the pipeline reads them. */
import { type UnsupportedKind, unsupportedSyntax } from '../../conditioning/unsupported-syntax.js';
import { notBuilt } from './failures.js';

const NETWORKS = 'networks such as <lora:name:1> cannot be loaded';
/** What A1111's prompts can say and Safelight does not do yet. */
const UNBUILT: Readonly<Record<UnsupportedKind, string>> = {
  lora: NETWORKS,
  lyco: NETWORKS,
  hypernet: NETWORKS,
  editing: 'a prompt cannot change on the way ([from:to:when])',
  alternation: 'prompts cannot alternate ([a|b])',
  AND: 'prompts cannot be joined by AND',
};

/**
 * Without comments: from `#` to the end of a line.
 * @throws 422 naming the field for what would be drawn otherwise than asked
 */
export function checkedPrompt(field: string, prompt: string): string {
  const text = prompt.replace(/(^|\n)#[^\n]*(\n|$)/g, '\n').replace(/#[^\n]*(\n|$)/g, '\n');
  const clean = text === prompt ? prompt : text.trim();
  const [unbuilt] = unsupportedSyntax(clean, { negative: field.includes('negative') });
  if (unbuilt) throw notBuilt(field, UNBUILT[unbuilt.kind]);
  return clean;
}
