/** Options that the axes of a grid can vary in the form, by topic, and the values to choose from. */
import { generationFields, topics } from '../../../../lib/options/declarations/generation.js';
import type { Field, Fields } from '../../../../lib/options/field.js';
import { type AxisOption, axisOptions, isLocal } from '../../../../lib/pipelines/grid/axis-options.js';
import type { About, ModelAbout, Style } from '../../api/types.js';
import { optionFieldsOf } from '../additional-options.js';
import type { Mode } from '../settings.js';

export interface AxisChoice {
  readonly name: string;
  readonly label: string;
  /** Undefined for changes of the prompt. */
  readonly field?: Field;
}

export interface AxisTopic {
  readonly title: string;
  readonly choices: readonly AxisChoice[];
}

const PROMPT_SR: AxisChoice = { name: 'prompt-sr', label: 'Prompt S/R (search and replace)' };
const PROMPT_ORDER: AxisChoice = { name: 'prompt-order', label: 'Prompt order' };
/** Options that have an effect on models with a text encoder, or on class-conditional models only. */
const OF_TEXT = /^(prompt|negative|clip-skip|emphasis|style|dynamic-prompts|hires-prompt|hires-negative)$/;
const OF_CLASS = /^class$/;
/** Options that decide about errors, not about images. */
const WITHOUT_EFFECT = /^missing-adapters$/;

/** Returns the options that the model and the mode of the form have, except those whose values are files. */
export function axisTopics(mode: Mode, model: ModelAbout | undefined): AxisTopic[] {
  const condition = model?.diffusion?.condition ?? 'text';
  const available = optionFieldsOf(mode);
  const isOffered = (option: AxisOption): boolean =>
    !isLocal(option) &&
    !WITHOUT_EFFECT.test(option.name) &&
    (condition === 'text' || !OF_TEXT.test(option.name)) &&
    (condition === 'class' || !OF_CLASS.test(option.name));
  return topics.flatMap(({ title, fields }): AxisTopic[] => {
    const named = Object.entries(fields).filter(([name]) => Object.hasOwn(available, name));
    const options = axisOptions(Object.fromEntries(named) as Fields).filter(isOffered);
    const choices = options.map(({ name, field }) => ({ name, label: labelOf(name, field), field }));
    const isPrompt = title.startsWith('Prompt') && condition === 'text';
    const all = isPrompt ? [PROMPT_SR, PROMPT_ORDER, ...choices] : choices;
    // The second pass is a topic of its own, without a title.
    return all.length === 0
      ? []
      : [{ title: title.replace(/:$/, '') || generationFields.hires.title.replace(/:$/, ''), choices: all }];
  });
}

/** Returns the label of an option in generation parameters, or else its name in words. */
function labelOf(name: string, field: Field): string {
  const label = field.kind === 'object' ? undefined : field.infotext?.label;
  const words = label ?? name.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Returns the values of an option that has a fixed set, as written in an axis, with labels; undefined for others. */
export function valuesToChoose(
  { name, field }: AxisChoice,
  about: About | null,
  styles: readonly Style[],
): readonly (readonly [value: string, label: string])[] | undefined {
  if (name === 'style')
    return styles.length === 0
      ? undefined
      : [['', 'None'], ...styles.map((style) => [style.name, style.name] as const)];
  switch (field?.kind) {
    case 'boolean':
      return [
        ['false', 'Off'],
        ['true', 'On'],
      ];
    case 'choice':
      return field.values.map((value) => [value, field.labels?.[value] ?? value] as const);
    case 'name': {
      const names = field.of === 'sampler' ? about?.samplers : about?.schedules;
      return names?.map((entry) => [entry.name, entry.label] as const);
    }
    default:
      return undefined;
  }
}

/** Returns an example of values to type, which explains their form. */
export function exampleOf({ name, field }: AxisChoice): string {
  if (name === 'prompt-sr') return 'red,green,blue';
  if (name === 'prompt-order') return 'red,shiny,small';
  switch (field?.kind) {
    case 'number':
      return typeof field.max === 'number' && field.max <= 1.5
        ? '0.5,0.75 or 0.2-0.8 [4]'
        : '1,2.5 or 1-5 [3]';
    case 'integer':
      return '4,8 or 1-9 (+2)';
    case 'side':
      return '512,768';
    case 'seed':
      return '1-4';
    case 'size':
      return '512x512,768x512';
    case 'interval':
      return '"0.3,5","1,5"';
    case 'numbers':
      return `"${field.names.map(() => '1').join(',')}","${field.names.map(() => '1.2').join(',')}"`;
    case 'descending':
      return '"14,5,1","14,3,1"';
    case 'pair':
      return '2,4,"8,2"';
    default:
      return 'one,"two, with a comma"';
  }
}

/** Returns an explanation of how values are written. */
export function explanationOf({ name, field }: AxisChoice): string {
  if (name === 'prompt-sr')
    return 'The first text is searched in the prompts and replaced by each of the texts.';
  if (name === 'prompt-order') return 'At most 6 words of the prompt, which are put in each order.';
  if (
    field?.kind === 'number' ||
    field?.kind === 'integer' ||
    field?.kind === 'seed' ||
    field?.kind === 'side'
  )
    return 'Numbers with commas between them, and ranges: 1-5, 1-9 (+2) with a step, 1-9 [5] with a count.';
  return 'Values with commas between them; a value with commas is put in double quotes.';
}
