/** Converts the form to a job request. */

import { styled } from '../../../lib/conditioning/styles.js';
import type { About, JobType, ModelAbout, Style } from '../api/types.js';
import { type Further, furtherOf } from './additional-options.js';
import { withAxes } from './grid/form-axes.js';
import { imagesOf, type Mode, type Settings } from './settings.js';

/** Images for the current mode, as data URIs. */
export interface InputImages {
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

/** Returns the model that a job of the current mode runs on. */
export function modelFor(settings: Settings, about: About | null): ModelAbout | undefined {
  const kind = settings.mode === 'sketch' ? 'codes' : 'diffusion';
  const name = kind === 'codes' ? settings.vqganModel : settings.model;
  const models = about?.models.filter((model) => fits(model, settings.mode)) ?? [];
  return models.find((model) => model.name === name) ?? models[0];
}

/** Returns true if a model supports a mode. */
export function fits({ kind, codes }: ModelAbout, mode: Mode): boolean {
  return mode === 'sketch' ? codes?.condition === 'image' : kind === 'diffusion';
}

/**
 * Creates the request.
 * @param library the server's styles, including those named in the settings
 * @throws Error with a message for the user if something is missing
 */
export function requestOf(
  settings: Settings,
  images: InputImages,
  about: About | null,
  library: readonly Style[] = [],
): Request {
  const { mode } = settings;
  if (mode === 'inside') throw new Error('Choose an image to inspect');
  const chosen = modelFor(settings, about);
  const model = chosen?.name;
  const rest = { type: TYPES[mode], ...(model === undefined ? {} : { model }) };
  if (mode === 'sketch') {
    if (model === undefined) throw new Error('The server has no model for sketches');
    if (!images.drawing) throw new Error('Draw something first');
    return { ...rest, options: { ...sketchOptions(settings), image: images.drawing } };
  }
  const styles = stylesOf(settings, library);
  const form = { ...diffusionOptions(settings, styles), ...(mode === 'text' ? hires(settings, styles) : {}) };
  const options = withFurther(form, furtherOf(settings));
  const request = (all: Record<string, unknown>): Request =>
    settings.grid
      ? { ...rest, type: 'grid', options: withAxes(all, settings, { about, model: chosen }) }
      : { ...rest, options: all };
  if (mode === 'text') return request(options);
  if (!images.init) throw new Error('Drop, paste or choose an image first');
  const fromImage = { ...options, init: images.init, strength: settings.strength };
  if (mode === 'picture') return request(fromImage);
  if (!images.mask) throw new Error('Paint over the area to regenerate first');
  const { maskBlur, fill, onlyMasked, padding } = settings;
  return request({ ...fromImage, mask: images.mask, maskBlur, fill, onlyMasked, padding });
}

/** Adds the additional options to those of the form. */
function withFurther(form: Record<string, unknown>, further: Further): Record<string, unknown> {
  const { hires, ...rest } = further;
  const both = { ...(form.hires as object), ...(hires as object) };
  // Explicit sigmas replace the steps and schedule of the form.
  const { steps: _steps, schedule: _schedule, ...unscheduled } = form;
  return {
    ...rest,
    ...('sigmas' in rest ? unscheduled : form),
    ...(hires === undefined ? {} : { hires: both }),
  };
}

/** Returns the selected styles. @throws Error for a style that no longer exists on the server */
export function stylesOf({ styles }: Pick<Settings, 'styles'>, library: readonly Style[]): Style[] {
  return styles.map((name) => {
    const style = library.find((candidate) => candidate.name === name);
    if (!style) throw new Error(`The style “${name}” no longer exists on the server; choose another one`);
    return style;
  });
}

/** Returns the prompts with the styles applied. */
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

function diffusionOptions(settings: Settings, styles: readonly Style[]): Record<string, unknown> {
  const { width, height, batch, steps, cfg, sampler, schedule, seed, clipSkip, rng } = settings;
  const { prompt, negative } = styledPrompts(settings, styles);
  const count = imagesOf(settings);
  return {
    prompt,
    ...(negative === '' ? {} : { negative }),
    ...(count === 1 ? {} : { count, ...withoutNulls({ batch }) }),
    ...(rng === 'cpu' ? {} : { rng }),
    ...withoutNulls({ width, height, steps, cfg, sampler, schedule, seed, clipSkip }),
    ...variation(settings),
  };
}

function variation(settings: Settings): Record<string, unknown> {
  const { subseed, subseedStrength, seedResizeWidth: width, seedResizeHeight: height } = settings;
  if ((width === null) !== (height === null))
    throw new Error('Set both width and height to resize from a seed, or neither');
  return {
    ...(subseedStrength > 0 ? { subseedStrength, ...withoutNulls({ subseed }) } : {}),
    ...(width === null ? {} : { seedResizeFrom: { width, height } }),
  };
}

function hires(settings: Settings, styles: readonly Style[]): Record<string, unknown> {
  if (!settings.hires) return {};
  const { hiresScale: scale, hiresSteps: steps, hiresStrength: strength, hiresUpscaler: upscaler } = settings;
  const hiresPrompts = styledPrompts(
    { prompt: settings.hiresPrompt, negative: settings.hiresNegative },
    styles,
  );
  const prompts = {
    ...(settings.hiresPrompt.trim() === '' ? {} : { prompt: hiresPrompts.prompt }),
    ...(settings.hiresNegative.trim() === '' ? {} : { negative: hiresPrompts.negative }),
  };
  return { hires: { scale, strength, upscaler, ...withoutNulls({ steps }), ...prompts } };
}

function sketchOptions({ temperature, topK, topP, seed }: Settings): Record<string, unknown> {
  return withoutNulls({ temperature, topK, topP, seed });
}

/** Removes null values, which leave an option at the model's default. */
function withoutNulls(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
}
