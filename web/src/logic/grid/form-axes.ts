/** Axes of a grid in the form: their texts, values, problems, and the number of images. */
import { generationFields } from '../../../../lib/options/declarations/generation.js';
import { checkGiven } from '../../../../lib/options/validate.js';
import { axisNames, parseAxes } from '../../../../lib/pipelines/grid/axes.js';
import { type Axis, parseAxis } from '../../../../lib/pipelines/grid/axis.js';
import { findOption } from '../../../../lib/pipelines/grid/axis-options.js';
import { joinValues, splitValues } from '../../../../lib/pipelines/grid/axis-values.js';
import type { About, ModelAbout } from '../../api/types.js';
import { optionFieldsOf } from '../additional-options.js';
import { limitsFor } from '../limits.js';
import type { Settings } from '../settings.js';

export type AxisName = (typeof axisNames)[number];

/** An axis as it is edited: `OPTION=VALUES` in two parts. */
export interface AxisText {
  /** Name of the option; empty for an axis that is not used. */
  readonly option: string;
  readonly values: string;
}

/** An axis in the form, checked as the server checks it. */
export interface FormAxis extends AxisText {
  /** Undefined if the axis is not used or has a problem. */
  readonly axis?: Axis;
  readonly problem?: string;
}

export type FormAxes = Readonly<Record<AxisName, FormAxis>>;

/** Name of the setting of each axis. */
export const AXIS_SETTINGS = { x: 'gridX', y: 'gridY', z: 'gridZ' } as const;

/** Modes of the form in which grids can be generated. */
export function hasGrid({ mode }: Pick<Settings, 'mode'>): boolean {
  return mode === 'text' || mode === 'picture' || mode === 'inpaint';
}

export function splitAxis(text: string): AxisText {
  const at = text.indexOf('=');
  return at < 0 ? { option: text, values: '' } : { option: text.slice(0, at), values: text.slice(at + 1) };
}

export function joinAxis({ option, values }: AxisText): string {
  return option === '' ? '' : `${option}=${values}`;
}

/** Returns the values of an axis with a fixed set of values; none if the text is damaged. */
export function chosenValues({ option, values }: AxisText): string[] {
  if (values === '') return [];
  try {
    return splitValues(option, values);
  } catch {
    return [];
  }
}

/** Adds a value of a fixed set to an axis, in the order of the set, or removes it. */
export function withToggledValue(axis: AxisText, value: string, set: readonly string[]): AxisText {
  const chosen = new Set(chosenValues(axis));
  if (!chosen.delete(value)) chosen.add(value);
  const values = joinValues(set.filter((candidate) => chosen.has(candidate)));
  // The only value is empty: without quotes, there would be no values.
  return { ...axis, values: values === '' && chosen.size > 0 ? '""' : values };
}

/** The server's limits, and the model of the form. */
export interface AxisContext {
  readonly about: About | null;
  readonly model: ModelAbout | undefined;
}

export function formAxes(settings: Settings, context: AxisContext): FormAxes {
  return {
    x: formAxis('x', settings, context),
    y: formAxis('y', settings, context),
    z: formAxis('z', settings, context),
  };
}

function formAxis(name: AxisName, settings: Settings, context: AxisContext): FormAxis {
  const text = splitAxis(settings[AXIS_SETTINGS[name]]);
  if (text.option === '') return text;
  if (text.values.trim() === '') return { ...text, problem: 'Enter at least one value.' };
  try {
    const axis = parseAxis(name, joinAxis(text));
    checkValues(axis, settings, context);
    return { ...text, axis };
  } catch (error) {
    return { ...text, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** Checks that the mode has the option, and each value within the limits of server and model. @throws Error */
function checkValues(axis: Axis, settings: Settings, { about, model }: AxisContext): void {
  const { prompt, negative, mode } = settings;
  if (!axis.late && !Object.hasOwn(optionFieldsOf(mode), findOption(axis.name).path[0]!))
    throw new Error(`The option ${axis.name} has no effect in this mode; choose another one.`);
  const context = { limits: limitsFor(about), grid: model?.diffusion?.factor ?? 1 };
  for (const value of axis.values) {
    const changed = value.apply(axis.late ? { prompt, negative } : {});
    checkGiven(generationFields, changed, context);
  }
}

export interface GridCount {
  readonly images: number;
  /** Numbers of columns, rows and sheets in words. */
  readonly text: string;
  readonly problem?: string;
}

/** Returns the number of images of the grid, and the reason why it cannot be generated, other than those of an axis. */
export function countOf(axes: FormAxes, about: About | null): GridCount {
  const units = { x: 'column', y: 'row', z: 'sheet' };
  const sizes = axisNames.flatMap((name) => {
    const { axis } = axes[name];
    return axis ? [{ name, size: axis.values.length }] : [];
  });
  const images = sizes.reduce((product, { size }) => product * size, sizes.length > 0 ? 1 : 0);
  const parts = sizes.map(({ name, size }) => `${size} ${units[name]}${size === 1 ? '' : 's'}`);
  const text = `${parts.join(' × ')} = ${images} ${images === 1 ? 'image' : 'images'}`;
  const { maxCount } = limitsFor(about);
  if (images === 0) return { images, text: 'no images', problem: 'Choose an option for X, Y or Z.' };
  if (images > maxCount)
    return {
      ...{ images, text },
      problem: `This server generates at most ${maxCount} images per job; remove values or an axis.`,
    };
  try {
    parseAxes(axisRequest(axes));
    return { images, text };
  } catch (error) {
    return { images, text, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** Returns the axes of a request. */
export function axisRequest(axes: FormAxes): Partial<Record<AxisName, string>> {
  const used = axisNames.filter((name) => axes[name].axis);
  return Object.fromEntries(used.map((name) => [name, joinAxis(axes[name])]));
}

/**
 * Adds the axes of the form to the options of a single image.
 * @throws Error with a message for the user
 */
export function withAxes(
  options: Readonly<Record<string, unknown>>,
  settings: Settings,
  context: AxisContext,
): Record<string, unknown> {
  const axes = formAxes(settings, context);
  for (const name of axisNames) {
    const { problem } = axes[name];
    if (problem !== undefined) throw new Error(`${name.toUpperCase()}: ${problem}`);
  }
  const { problem } = countOf(axes, context.about);
  if (problem !== undefined) throw new Error(problem);
  const { count: _count, batch: _batch, ...single } = options;
  // Sigmas replace the steps and schedule of the form.
  const { steps: _steps, schedule: _schedule, ...unscheduled } = single;
  const hasSigmas = axisNames.some((name) => axes[name].axis?.name === 'sigmas');
  return { ...(hasSigmas ? unscheduled : single), ...axisRequest(axes) };
}
