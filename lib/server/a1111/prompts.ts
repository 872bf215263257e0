/** LoRAs that A1111's options add to prompts. */
import { extractTags } from '../../conditioning/network-tags.js';
import type { Settings } from './settings.js';

/** Adds the LoRA of the option `sd_lora` to a prompt, unless the prompt names it. */
export function withDefaultLora(
  prompt: string,
  { sd_lora: name, extra_networks_default_multiplier: weight }: Settings,
): string {
  if (name === 'None') return prompt;
  const isNamed = extractTags(prompt).tags.some(({ kind, parts }) => kind === 'lora' && parts[0] === name);
  return isNamed ? prompt : `${prompt}<lora:${name}:${weight}>`;
}
