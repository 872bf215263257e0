/** Lists of prompts in one call: the settings of each, which differ only in their prompts. */
import type { GenerationDefaults } from '../checkpoint/config/types.js';
import type { ConditionSource } from '../checkpoint/model-descriptor.js';
import { invalidOption } from '../errors.js';
import { apiLimits } from '../options/limits.js';
import { resolveCondition } from '../options/settings/condition.js';
import { type GenerateOptions, resolveOptions, type Settings } from './options.js';
import type { PromptFiles } from './prompt-files.js';

/**
 * Resolves the settings of each prompt; all have the same seed and number of images.
 * @throws INVALID_OPTION; also for lists of different lengths
 */
export function resolveEach(
  options: GenerateOptions,
  defaults: GenerationDefaults,
  downsampleFactor: number,
  condition?: ConditionSource,
  files: PromptFiles = {},
): [Settings, ...Settings[]] {
  const [first, ...others] = promptsOf(options);
  const settings = resolveOptions(
    first ? { ...options, ...first } : options,
    defaults,
    downsampleFactor,
    condition,
    files,
  );
  return [settings, ...others.map((prompts) => withPrompts(settings, prompts, options, condition))];
}

interface Prompts {
  readonly prompt?: string;
  readonly negative?: string;
}

/**
 * Returns the prompts of each list entry; empty if neither option is a list. Entries are validated later like single
 * prompts.
 */
function promptsOf(options: GenerateOptions): Prompts[] {
  if (typeof options !== 'object' || options === null) return [];
  const names = (['prompt', 'negative'] as const).filter((name) => Array.isArray(options[name]));
  const lists = names.map((name) => listOf(name, options[name]));
  const [list] = lists;
  if (!list) return [];
  const [length, other = length] = lists.map((entries) => entries.length);
  if (length !== other)
    throw invalidOption(
      'negative',
      `a string or an array of ${length} strings (the length of prompt)`,
      `an array of ${other}`,
    );
  return list.map((_, i) => Object.fromEntries(names.map((name, k) => [name, lists[k]![i]])));
}

function listOf(name: string, value: unknown): readonly string[] {
  const { maxCount } = apiLimits;
  // `every` skips holes of sparse arrays; spreading converts them to undefined.
  const list: readonly unknown[] = Array.isArray(value) ? [...value] : [];
  const isStrings = (all: readonly unknown[]): all is readonly string[] =>
    all.every((item) => typeof item === 'string');
  if (list.length === 0 || list.length > maxCount || !isStrings(list))
    throw invalidOption(name, `a string or an array of 1 to ${maxCount} strings`, value);
  return list;
}

function withPrompts(
  settings: Settings,
  prompts: Prompts,
  { class: label }: GenerateOptions,
  condition: ConditionSource | undefined,
): Settings {
  const { prompt = settings.prompt, negative = settings.negative } = prompts;
  const resolved = resolveCondition(
    { prompt, negative, ...(label === undefined ? {} : { class: label }) },
    condition,
  );
  const { prompt: _, negative: _n, ...options } = settings.options;
  const texts = { prompt: resolved.prompt, negative: resolved.negative };
  return { ...settings, ...resolved, options: { ...options, ...texts } };
}
