/** Flags of `generate` and their conversion to pipeline options. */
import type { Command } from 'commander';
import { type GenerationOptions, generationFields, topics } from '../options/declarations/generation.js';
import { optionsOfFlags } from '../options/flags.js';
import { addOptionFlags } from './option-flags.js';

/** Parsed flags, under their names in camel case. */
export interface GenerateFlags {
  readonly [key: string]: unknown;
}

export function addGenerateOptions(command: Command): void {
  for (const { title, fields } of topics) addOptionFlags(command, title, fields);
}

/** Converts flags to generation options. @throws INVALID_OPTION */
export function toGenerateOptions(prompt: string | undefined, flags: GenerateFlags): GenerationOptions {
  const options = optionsOfFlags(generationFields, flags);
  return prompt === undefined ? options : { ...options, prompt };
}
