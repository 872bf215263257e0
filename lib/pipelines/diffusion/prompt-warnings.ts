/** Warnings about unsupported prompt syntax, which is encoded as plain text. */
import { type UnsupportedKind, unsupportedSyntax } from '../../conditioning/unsupported-syntax.js';
import type { Warnings } from '../../warnings.js';

/** Constructs per prompt that get a warning each; one further warning counts the rest. */
const MAX_LISTED = 16;
/** Characters of a construct quoted in a warning. */
const MAX_QUOTED = 80;

const NAMES: Readonly<Record<UnsupportedKind, string>> = {
  lora: 'a LoRA',
  lyco: 'a LyCORIS network',
  hypernet: 'a hypernetwork',
  editing: 'prompt editing',
  alternation: 'alternation',
  AND: 'a combination of prompts',
};

/** Prompts by option name; missing ones are undefined. */
export type NamedPrompts = Readonly<Record<string, string | undefined>>;

/** Adds a PROMPT_SYNTAX warning for each construct of each prompt that Safelight does not support. */
export function warnOfSyntax(warnings: Warnings, prompts: NamedPrompts): void {
  for (const [option, prompt = ''] of Object.entries(prompts)) {
    const constructs = unsupportedSyntax(prompt, { negative: option.includes('negative') });
    for (const { kind, text } of constructs.slice(0, MAX_LISTED))
      warnings.add(
        'PROMPT_SYNTAX',
        `${quoted(text)} in ${option} is ${NAMES[kind]} in A1111's syntax, which is not supported and is encoded as plain text`,
      );
    if (constructs.length > MAX_LISTED)
      warnings.add(
        'PROMPT_SYNTAX',
        `${constructs.length - MAX_LISTED} more constructs in ${option} are not supported and are encoded as plain text`,
      );
  }
}

function quoted(text: string): string {
  return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}...` : text;
}
