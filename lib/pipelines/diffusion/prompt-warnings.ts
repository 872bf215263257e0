/** Warnings about prompt syntax that is encoded as plain words. */
import { type UnsupportedKind, unsupportedSyntax } from '../../conditioning/unsupported-syntax.js';
import type { Warnings } from '../../warnings.js';

/** Constructs of a prompt that are named one by one; the rest are counted. */
const MOST = 16;
/** Characters of a construct that are quoted. */
const QUOTED = 80;

const NAMES: Readonly<Record<UnsupportedKind, string>> = {
  lora: 'a LoRA',
  lyco: 'a LyCORIS network',
  hypernet: 'a hypernetwork',
  editing: 'prompt editing',
  alternation: 'alternation',
  AND: 'a combination of prompts',
};

/** Prompts by the names of their options; one that is not given is undefined. */
export type NamedPrompts = Readonly<Record<string, string | undefined>>;

/** Adds a PROMPT_SYNTAX warning for each construct of each prompt that Safelight does not support. */
export function warnOfSyntax(warnings: Warnings, prompts: NamedPrompts): void {
  for (const [option, prompt = ''] of Object.entries(prompts)) {
    const found = unsupportedSyntax(prompt, { negative: option.includes('negative') });
    for (const { kind, text } of found.slice(0, MOST))
      warnings.add(
        'PROMPT_SYNTAX',
        `${quoted(text)} in ${option} is ${NAMES[kind]} in A1111's syntax, which is not supported yet: it is drawn as plain words`,
      );
    if (found.length > MOST)
      warnings.add(
        'PROMPT_SYNTAX',
        `${found.length - MOST} more constructs in ${option} are not supported yet and are drawn as plain words`,
      );
  }
}

function quoted(text: string): string {
  return text.length > QUOTED ? `${text.slice(0, QUOTED)}...` : text;
}
