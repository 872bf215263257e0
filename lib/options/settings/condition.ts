/** Which of the options that say what to draw a model takes. */
import type { ConditionSource } from '../../checkpoint/model-descriptor.js';
import { invalidOption, SafelightError } from '../../errors.js';
import * as check from '../check.js';
import { type ConditionOptions, conditionFields } from '../declarations/text.js';
import { apiLimits } from '../limits.js';
import { validate } from '../validate.js';
import type { SamplingSettings } from './sampling.js';

export interface ConditionSettings {
  readonly prompt: string;
  readonly negative: string;
  readonly class: number | undefined;
}

/**
 * @param condition of the model; undefined while it is not known, which leaves open what has to be given
 * @throws INVALID_OPTION for what the model does not read, or cannot do without
 */
export function resolveCondition(
  options: ConditionOptions,
  condition: ConditionSource | undefined,
): ConditionSettings {
  const { prompt: given, negative, class: label } = validate(conditionFields, options);
  if (condition?.kind === 'text') {
    if (label !== undefined) throw wrong('class', 'This model reads a prompt and knows no classes', 'prompt');
    return { prompt: promptText('prompt', given), negative, class: undefined };
  }
  const prompt = given ?? '';
  if (condition === undefined) return { prompt, negative, class: label };
  const read = prompt === '' ? (negative === '' ? undefined : 'negative') : 'prompt';
  if (condition.kind === 'class') {
    const classes = `a class from 0 to ${condition.classes - 1}`;
    if (read) throw wrong(read, 'This model reads no text; it draws classes', `class (${classes})`);
    if (label === undefined) throw invalidOption('class', `${classes}, which this model draws,`, label);
    if (label >= condition.classes) throw invalidOption('class', classes, label);
    return { prompt, negative, class: label };
  }
  if (read) throw wrong(read, 'This model reads no text; it draws without being told what');
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

/** Checks a prompt. @throws INVALID_OPTION unless it is a text of at most 120,000 characters */
export function promptText(name: string, value: unknown): string {
  return check.text(name, value, apiLimits.maxPrompt);
}

function wrong(option: string, why: string, instead?: string): SafelightError {
  return new SafelightError(
    'INVALID_OPTION',
    `${why}; leave out ${option}${instead ? ` and give ${instead}` : ''}`,
  );
}
