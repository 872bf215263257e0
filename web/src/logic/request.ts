/** From the form to a job. */
import type { About, JobType, ModelAbout } from '../api/types.js';
import type { Mode, Settings } from './settings.js';

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
  const name = kind === 'codes' ? settings.codesModel : settings.model;
  const models = about?.models.filter((model) => fits(model, settings.mode)) ?? [];
  return models.find((model) => model.name === name) ?? models[0];
}

/** Whether a model can do what a mode is for. */
export function fits({ kind, codes }: ModelAbout, mode: Mode): boolean {
  return mode === 'sketch' ? codes?.condition === 'image' : kind === 'diffusion';
}

/** @throws Error with a sentence for the user where something is missing */
export function requestOf(settings: Settings, given: Given, about: About | null): Request {
  const { mode } = settings;
  if (mode === 'inside') throw new Error('Choose a picture to look inside of');
  const model = modelFor(settings, about)?.name;
  const rest = { type: TYPES[mode], ...(model === undefined ? {} : { model }) };
  if (mode === 'sketch') {
    if (model === undefined) throw new Error('No model here draws after a drawing');
    if (!given.drawing) throw new Error('Draw something first');
    return { ...rest, options: { ...drawing(settings), image: given.drawing } };
  }
  const options = { ...painting(settings), ...(mode === 'text' ? hires(settings) : {}) };
  if (mode === 'text') return { ...rest, options };
  if (!given.init) throw new Error('Drop, paste or choose a picture first');
  const from = { ...options, init: given.init, strength: settings.strength };
  if (mode === 'picture') return { ...rest, options: from };
  if (!given.mask) throw new Error('Paint over what is to be made anew first');
  const { maskBlur, fill, onlyMasked, padding } = settings;
  return { ...rest, options: { ...from, mask: given.mask, maskBlur, fill, onlyMasked, padding } };
}

function painting(settings: Settings): Record<string, unknown> {
  const { prompt, negative, width, height, count, steps, cfg, sampler, schedule, seed, clipSkip, rng } =
    settings;
  return {
    prompt,
    ...(negative === '' ? {} : { negative }),
    ...(count === 1 ? {} : { count }),
    ...(rng === 'cpu' ? {} : { rng }),
    ...given({ width, height, steps, cfg, sampler, schedule, seed, clipSkip }),
  };
}

function hires(settings: Settings): Record<string, unknown> {
  if (!settings.hires) return {};
  const { hiresScale: scale, hiresSteps: steps, hiresStrength: strength, hiresUpscaler: upscaler } = settings;
  return { hires: { scale, strength, upscaler, ...given({ steps }) } };
}

function drawing({ temperature, topK, topP, seed }: Settings): Record<string, unknown> {
  return given({ temperature, topK, topP, seed });
}

/** What is not left to the model. */
function given(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
}
