/** Prepares prompts as A1111 does before it parses them. */
import { extractTags } from '../../conditioning/network-tags.js';
import type { Settings } from './settings.js';

/** Removes comments, from `#` to the end of a line. */
export function withoutComments(prompt: string): string {
  const text = prompt.replace(/(^|\n)#[^\n]*(\n|$)/g, '\n').replace(/#[^\n]*(\n|$)/g, '\n');
  return text === prompt ? prompt : text.trim();
}

/** Adds the LoRA of the option `sd_lora` to a prompt, unless the prompt names it. */
export function withDefaultLora(
  prompt: string,
  { sd_lora: name, extra_networks_default_multiplier: weight }: Settings,
): string {
  if (name === 'None') return prompt;
  const isNamed = extractTags(prompt).tags.some(({ kind, parts }) => kind === 'lora' && parts[0] === name);
  return isNamed ? prompt : `${prompt}<lora:${name}:${weight}>`;
}
