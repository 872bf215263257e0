/** Which of the options that say what to draw a model takes. */

import type { ConditionSource } from '../checkpoint/model-descriptor.js';
import { invalidOption, SafelightError } from '../errors.js';
import * as check from './check.js';
import { MAX_PROMPT } from './limits.js';
import type { SamplingSettings } from './sampling-options.js';

export interface ConditionOptions {
  /** What to draw, in A1111's syntax, at most 120,000 characters; of models that read text. */
  readonly prompt?: string;
  /** What not to draw; default empty. */
  readonly negative?: string;
  /** Which class to draw, from 0; of models that were trained on classes. */
  readonly class?: number;
}

export interface ConditionSettings {
  readonly prompt: string;
  readonly negative: string;
  readonly class: number | undefined;
}

/** ImageNet's 22,000 and what may come. */
const MOST_CLASSES = 2 ** 24;

/**
 * @param condition of the model; undefined while it is not known, which leaves open what has to be given
 * @throws INVALID_OPTION for what the model does not read, or cannot do without
 */
export function resolveCondition(
  options: ConditionOptions,
  condition: ConditionSource | undefined,
): ConditionSettings {
  const label =
    options.class === undefined ? undefined : check.integer('class', options.class, 0, MOST_CLASSES);
  if (condition?.kind === 'text') {
    if (label !== undefined) throw wrong('class', 'This model reads a prompt and knows no classes', 'prompt');
    const prompt = promptText('prompt', options.prompt);
    return { prompt, negative: promptText('negative', options.negative ?? ''), class: undefined };
  }
  const prompt = promptText('prompt', options.prompt ?? '');
  const negative = promptText('negative', options.negative ?? '');
  if (condition === undefined) return { prompt, negative, class: label };
  const given = prompt === '' ? (negative === '' ? undefined : 'negative') : 'prompt';
  if (condition.kind === 'class') {
    const classes = `a class from 0 to ${condition.classes - 1}`;
    if (given) throw wrong(given, 'This model reads no text; it draws classes', `class (${classes})`);
    if (label === undefined) throw invalidOption('class', `${classes}, which this model draws,`, label);
    if (label >= condition.classes) throw invalidOption('class', classes, label);
    return { prompt, negative, class: label };
  }
  if (given) throw wrong(given, 'This model reads no text; it draws without being told what');
  if (label !== undefined)
    throw wrong('class', 'This model knows no classes; it draws without being told what');
  return { prompt, negative, class: undefined };
}

/** Guidance leads away from what stands for nothing; a model without that is not guided. @throws INVALID_OPTION */
export function resolveGuidance(
  settings: SamplingSettings,
  asked: number | undefined,
  condition: ConditionSource | undefined,
): SamplingSettings {
  const guided =
    condition?.kind !== 'none' && !(condition?.kind === 'class' && condition.unconditional === null);
  if (guided) return settings;
  if (condition.kind === 'class' && asked !== undefined && asked !== 1) {
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected 1 for cfg but received ${asked}: this model has no class that stands for none, which guidance needs`,
    );
  }
  return { ...settings, cfg: 1 };
}

/** Checks a prompt. @throws INVALID_OPTION unless it is a text of at most MAX_PROMPT characters */
export function promptText(name: string, value: unknown): string {
  const text = check.string(name, value);
  if (text.length > MAX_PROMPT)
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected at most ${MAX_PROMPT} characters for ${name} but received ${text.length}: shorten it`,
    );
  return text;
}

function wrong(option: string, why: string, instead?: string): SafelightError {
  return new SafelightError(
    'INVALID_OPTION',
    `${why}; leave out ${option}${instead ? ` and give ${instead}` : ''}`,
  );
}
