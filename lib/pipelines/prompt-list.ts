/** A list of prompts in one call: the settings of each, which differ in their prompts alone. */
import type { GenerationDefaults } from '../checkpoint/config/types.js';
import type { ConditionSource } from '../checkpoint/model-descriptor.js';
import { invalidOption } from '../errors.js';
import { apiLimits } from '../options/limits.js';
import { resolveCondition } from '../options/settings/condition.js';
import { warnOfSyntax } from './diffusion/prompt-warnings.js';
import { type GenerateOptions, resolveOptions, type Settings } from './options.js';

/**
 * One or more settings: each prompt begins at the same seed, and has as many images.
 * @throws INVALID_OPTION; also for lists of different lengths
 */
export function resolveEach(
  options: GenerateOptions,
  defaults: GenerationDefaults,
  downsampleFactor: number,
  condition?: ConditionSource,
): [Settings, ...Settings[]] {
  const [first, ...others] = promptsOf(options);
  const settings = resolveOptions(
    first ? { ...options, ...first } : options,
    defaults,
    downsampleFactor,
    condition,
  );
  return [settings, ...others.map((prompts) => withPrompts(settings, prompts, options, condition))];
}

interface Prompts {
  readonly prompt?: string;
  readonly negative?: string;
}

/** Empty where neither is a list; what is in a list is checked like a prompt. */
function promptsOf(options: GenerateOptions): Prompts[] {
  if (typeof options !== 'object' || options === null) return [];
  const names = (['prompt', 'negative'] as const).filter((name) => Array.isArray(options[name]));
  const lists = names.map((name) => listOf(name, options[name]));
  const [list] = lists;
  if (!list) return [];
  const [length, other = length] = lists.map((one) => one.length);
  if (length !== other)
    throw invalidOption(
      'negative',
      `a text, or a list of ${length} texts as prompt is,`,
      `a list of ${other}`,
    );
  return list.map((_, i) => Object.fromEntries(names.map((name, k) => [name, lists[k]![i]])));
}

function listOf(name: string, value: unknown): readonly string[] {
  const { maxCount } = apiLimits;
  // A gap in an array would not be looked at by `every`.
  const list: readonly unknown[] = Array.isArray(value) ? [...value] : [];
  const isRight = (all: readonly unknown[]): all is readonly string[] =>
    all.every((one) => typeof one === 'string');
  if (list.length === 0 || list.length > maxCount || !isRight(list))
    throw invalidOption(name, `a text, or a list of 1 to ${maxCount} texts,`, value);
  return list;
}

function withPrompts(
  settings: Settings,
  prompts: Prompts,
  { class: label }: GenerateOptions,
  condition: ConditionSource | undefined,
): Settings {
  const { prompt = settings.prompt, negative = settings.negative } = prompts;
  const own = resolveCondition(
    { prompt, negative, ...(label === undefined ? {} : { class: label }) },
    condition,
  );
  warnOfSyntax(settings.warnings, { prompt: own.prompt, negative: own.negative });
  const { prompt: _, negative: _n, ...options } = settings.options;
  return { ...settings, ...own, options: { ...options, prompt: own.prompt, negative: own.negative } };
}
