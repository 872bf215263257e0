/**
 * A1111's tags of additional networks in prompts, `<lora:name:0.8>`. They are removed before the prompt is parsed.
 * Reference: A1111 `modules/extra_networks.py` (`parse_prompt`).
 */

export interface NetworkTag {
  /** Kind such as `lora`, as written. */
  readonly kind: string;
  /** Arguments, which were separated by colons. */
  readonly parts: readonly string[];
  /** The whole tag. */
  readonly text: string;
}

/** True for the kinds that name LoRAs; `lyco` is another name of `lora`. */
export function isLoraKind(kind: string): boolean {
  return ['lora', 'lyco'].includes(kind.toLowerCase());
}

const TAG = /<(\w+):([^>]+)>/g;

/** Splits a prompt into its text and its tags, in time proportional to its length. */
export function extractTags(prompt: string): { readonly text: string; readonly tags: readonly NetworkTag[] } {
  const tags: NetworkTag[] = [];
  // Without a closing bracket, every opening one would be searched to the end.
  const end = prompt.lastIndexOf('>') + 1;
  const text = prompt.slice(0, end).replace(TAG, (tag, kind: string, parts: string) => {
    tags.push({ kind, parts: parts.split(':'), text: tag });
    return '';
  });
  return { text: text + prompt.slice(end), tags };
}
