/** From the form to a job. */

import { styled } from '../../../lib/jobs/styles.js';
import type { About, JobType, ModelAbout, Style } from '../api/types.js';
import { type Further, furtherOf } from './further.js';
import { imagesOf, type Mode, type Settings } from './settings.js';

/** Pictures that a mode needs, as data URIs. */
export interface Given {
  readonly init?: string | undefined;
  readonly mask?: string | undefined;
  readonly drawing?: string | undefined;
}

export interface Request {
  readonly type: JobType;
  readonly model?: string;
  readonly options: Readonly<Record<string, unknown>>;
}

const TYPES: Readonly<Record<Exclude<Mode, 'inside'>, JobType>> = {
  text: 'text-to-image',
  picture: 'image-to-image',
  inpaint: 'inpaint',
  sketch: 'sketch',
};

/** The model a job of this mode would run on. */
export function modelFor(settings: Settings, about: About | null): ModelAbout | undefined {
  const kind = settings.mode === 'sketch' ? 'codes' : 'diffusion';
  const name = kind === 'codes' ? settings.vqganModel : settings.model;
  const models = about?.models.filter((model) => fits(model, settings.mode)) ?? [];
  return models.find((model) => model.name === name) ?? models[0];
}

/** Whether a model can do what a mode is for. */
export function fits({ kind, codes }: ModelAbout, mode: Mode): boolean {
  return mode === 'sketch' ? codes?.condition === 'image' : kind === 'diffusion';
}

/**
 * @param library the server's styles, those that the settings name among them
 * @throws Error with a sentence for the user where something is missing
 */
export function requestOf(
  settings: Settings,
  given: Given,
  about: About | null,
  library: readonly Style[] = [],
): Request {
  const { mode } = settings;
  if (mode === 'inside') throw new Error('Choose a picture to look inside of');
  const model = modelFor(settings, about)?.name;
  const rest = { type: TYPES[mode], ...(model === undefined ? {} : { model }) };
  if (mode === 'sketch') {
    if (model === undefined) throw new Error('No model here draws after a drawing');
    if (!given.drawing) throw new Error('Draw something first');
    return { ...rest, options: { ...drawing(settings), image: given.drawing } };
  }
  const styles = stylesOf(settings, library);
  const form = { ...painting(settings, styles), ...(mode === 'text' ? hires(settings, styles) : {}) };
  const options = withFurther(form, furtherOf(settings));
  if (mode === 'text') return { ...rest, options };
  if (!given.init) throw new Error('Drop, paste or choose a picture first');
  const from = { ...options, init: given.init, strength: settings.strength };
  if (mode === 'picture') return { ...rest, options: from };
  if (!given.mask) throw new Error('Paint over what is to be made anew first');
  const { maskBlur, fill, onlyMasked, padding } = settings;
  return { ...rest, options: { ...from, mask: given.mask, maskBlur, fill, onlyMasked, padding } };
}

/** Options that the form does not have, beside its own. */
function withFurther(form: Record<string, unknown>, further: Further): Record<string, unknown> {
  const { hires, ...rest } = further;
  const both = { ...(form.hires as object), ...(hires as object) };
  // Noise levels of an image stand in the place of the form's steps and schedule.
  const { steps: _steps, schedule: _schedule, ...unscheduled } = form;
  return {
    ...rest,
    ...('sigmas' in rest ? unscheduled : form),
    ...(hires === undefined ? {} : { hires: both }),
  };
}

/** @throws Error for a style that the server does not have */
export function stylesOf({ styles }: Pick<Settings, 'styles'>, library: readonly Style[]): Style[] {
  return styles.map((name) => {
    const found = library.find((style) => style.name === name);
    if (!found) throw new Error(`The server has no style “${name}” any more; choose another one`);
    return found;
  });
}

/** The prompts with the styles in them, as the model is given them. */
export function styledPrompts(
  { prompt, negative }: Pick<Settings, 'prompt' | 'negative'>,
  styles: readonly Style[],
): { prompt: string; negative: string } {
  return {
    prompt: styled(
      prompt,
      styles.map((style) => style.prompt),
    ),
    negative: styled(
      negative,
      styles.map((style) => style.negative),
    ),
  };
}

function painting(settings: Settings, styles: readonly Style[]): Record<string, unknown> {
  const { width, height, batch, steps, cfg, sampler, schedule, seed, clipSkip, rng } = settings;
  const { prompt, negative } = styledPrompts(settings, styles);
  const count = imagesOf(settings);
  return {
    prompt,
    ...(negative === '' ? {} : { negative }),
    ...(count === 1 ? {} : { count, ...given({ batch }) }),
    ...(rng === 'cpu' ? {} : { rng }),
    ...given({ width, height, steps, cfg, sampler, schedule, seed, clipSkip }),
    ...variation(settings),
  };
}

function variation(settings: Settings): Record<string, unknown> {
  const { subseed, subseedStrength, seedResizeWidth: width, seedResizeHeight: height } = settings;
  if ((width === null) !== (height === null))
    throw new Error('Seed resize takes both a width and a height, or neither');
  return {
    ...(subseedStrength > 0 ? { subseedStrength, ...given({ subseed }) } : {}),
    ...(width === null ? {} : { seedResizeFrom: { width, height } }),
  };
}

function hires(settings: Settings, styles: readonly Style[]): Record<string, unknown> {
  if (!settings.hires) return {};
  const { hiresScale: scale, hiresSteps: steps, hiresStrength: strength, hiresUpscaler: upscaler } = settings;
  const own = styledPrompts({ prompt: settings.hiresPrompt, negative: settings.hiresNegative }, styles);
  const prompts = {
    ...(settings.hiresPrompt.trim() === '' ? {} : { prompt: own.prompt }),
    ...(settings.hiresNegative.trim() === '' ? {} : { negative: own.negative }),
  };
  return { hires: { scale, strength, upscaler, ...given({ steps }), ...prompts } };
}

function drawing({ temperature, topK, topP, seed }: Settings): Record<string, unknown> {
  return given({ temperature, topK, topP, seed });
}

/** What is not left to the model. */
function given(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
}
