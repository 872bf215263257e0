/** Checks prompt, negative prompt and class against the conditioning of a model. */
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
 * Resolves the conditioning options for a model.
 * @param condition conditioning of the model; undefined if not yet known, which skips the checks
 * @throws INVALID_OPTION for an option that the model does not support and for a missing required one
 */
export function resolveCondition(
  options: ConditionOptions,
  condition: ConditionSource | undefined,
): ConditionSettings {
  const { prompt: text, negative, class: label } = validate(conditionFields, options);
  if (condition?.kind === 'text') {
    if (label !== undefined) throw unsupported('class', 'This model is text-conditional', 'prompt');
    return { prompt: promptText('prompt', text), negative, class: undefined };
  }
  const prompt = text ?? '';
  if (condition === undefined) return { prompt, negative, class: label };
  const textOption = prompt === '' ? (negative === '' ? undefined : 'negative') : 'prompt';
  if (condition.kind === 'class') {
    const classes = `a class from 0 to ${condition.classes - 1}`;
    if (textOption) throw unsupported(textOption, 'This model is class-conditional', `class (${classes})`);
    if (label === undefined) throw invalidOption('class', classes, label, 'the model is class-conditional');
    if (label >= condition.classes) throw invalidOption('class', classes, label);
    return { prompt, negative, class: label };
  }
  if (textOption) throw unsupported(textOption, 'This model is unconditional');
  if (label !== undefined) throw unsupported('class', 'This model is unconditional');
  return { prompt, negative, class: undefined };
}

/**
 * Sets `cfg` to 1 for models that guidance cannot be applied to: unconditional ones, and class-conditional ones
 * without an unconditional class.
 * @throws INVALID_OPTION for a class-conditional model if the caller requested another `cfg` than 1
 */
export function resolveGuidance(
  settings: SamplingSettings,
  requestedCfg: number | undefined,
  condition: ConditionSource | undefined,
): SamplingSettings {
  const guided =
    condition?.kind !== 'none' && !(condition?.kind === 'class' && condition.unconditional === null);
  if (guided) return settings;
  if (condition.kind === 'class' && requestedCfg !== undefined && requestedCfg !== 1) {
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected 1 for cfg, received ${requestedCfg}: this model has no unconditional class, which guidance requires.`,
    );
  }
  return { ...settings, cfg: 1 };
}

/** Checks a prompt. @throws INVALID_OPTION unless it is a string of at most 120,000 characters */
export function promptText(name: string, value: unknown): string {
  return check.text(name, value, apiLimits.maxPrompt);
}

function unsupported(option: string, reason: string, instead?: string): SafelightError {
  return new SafelightError(
    'INVALID_OPTION',
    `${reason}; remove ${option}${instead ? ` and set ${instead}` : ''}`,
  );
}
