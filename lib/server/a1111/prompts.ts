/** Prompts as A1111's interface takes them, before the pipeline reads them. */
import { notBuilt } from './failures.js';

/** What A1111's prompts can say and Safelight does not do yet. */
const UNBUILT: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/<(?:lora|lyco|hypernet):[^>]+>/i, 'networks such as <lora:name:1> cannot be loaded'],
  [
    /(?<!\\)\[[^[\]]*:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*(?<!\\)\]/,
    'a prompt cannot change on the way ([from:to:when])',
  ],
  [/(?<!\\)\[[^[\]]*\|[^[\]]*(?<!\\)\]/, 'prompts cannot alternate ([a|b])'],
];

/**
 * Without comments: from `#` to the end of a line.
 * @throws 422 naming the field for what would be drawn otherwise than asked
 */
export function checkedPrompt(field: string, prompt: string): string {
  const text = prompt.replace(/(^|\n)#[^\n]*(\n|$)/g, '\n').replace(/#[^\n]*(\n|$)/g, '\n');
  const clean = text === prompt ? prompt : text.trim();
  for (const [pattern, what] of UNBUILT) if (pattern.test(clean)) throw notBuilt(field, what);
  if (!field.includes('negative') && /\bAND\b/.test(clean))
    throw notBuilt(field, 'prompts cannot be joined by AND');
  return clean;
}
