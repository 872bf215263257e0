/** Fields of generation parameters by the options that they restore. */
import type { HiresOptions } from './hires-options.js';
import { emphasisLabels, fillLabels, labelled, resizeLabels, upscalerLabels } from './labels.js';
import type { GenerateOptions } from './options.js';

/** The value of a text; undefined where it cannot be read, null where it asks for the default. */
export type Read = (text: string) => unknown;

export interface Size {
  readonly width: number;
  readonly height: number;
}

const number: Read = (text) => {
  const value = Number(text);
  return text.trim() === '' || !Number.isFinite(value) ? undefined : value;
};
/** A number that cannot be held to the last digit would be another seed. */
const seed: Read = (text) => {
  const value = number(text);
  return Number.isSafeInteger(value) && (value as number) >= 0 ? value : undefined;
};
/** Without a bound where it is `Infinity`. */
const limit: Read = (text) => (text.trim() === 'Infinity' ? Number.POSITIVE_INFINITY : number(text));
const same: Read = (text) => text;

/** One of a few texts. */
const oneOf =
  (values: Readonly<Record<string, unknown>>): Read =>
  (text) =>
    Object.hasOwn(values, text.trim()) ? values[text.trim()] : undefined;

export const sizeOf = (text: string): Size | undefined => {
  const [, width, height] = /^(\d{1,5})\s*x\s*(\d{1,5})$/.exec(text.trim()) ?? [];
  return width && height ? { width: Number(width), height: Number(height) } : undefined;
};

/** A size that is none where a side is 0 or less. */
const givenSize: Read = (text) => {
  if (/^(-\d+|0+)\s*x|x\s*(-\d+|0+)$/.test(text.trim())) return null;
  return sizeOf(text);
};

const blur: Read = (text) => {
  const [x, y, ...more] = text.split('/').map(Number);
  if (more.length > 0 || !Number.isFinite(x)) return undefined;
  return y === undefined ? x : Number.isFinite(y) ? [x, y] : undefined;
};

const interval: Read = (text) => {
  const sides = text.split(' to ').map(Number);
  return sides.length === 2 && !sides.some(Number.isNaN) ? sides : undefined;
};

/** A1111's None enlarges too, with Lanczos. */
const upscaler: Read = (text) => (text.trim() === 'None' ? 'lanczos' : labelled(upscalerLabels, text));

type Entry<T> = readonly [option: keyof T & string, read: Read];

const ETA: Entry<GenerateOptions> = ['eta', number];
const RESCALE: Entry<GenerateOptions> = ['guidanceRescale', number];

export const plainFields: ReadonlyMap<string, Entry<GenerateOptions>> = new Map(
  Object.entries<Entry<GenerateOptions>>({
    Steps: ['steps', number],
    'CFG scale': ['cfg', number],
    Class: ['class', number],
    Seed: ['seed', seed],
    'Denoising strength': ['strength', number],
    'Clip skip': ['clipSkip', number],
    RNG: ['rng', (text) => (text.trim().toUpperCase() === 'CPU' ? 'cpu' : 'cuda')],
    Emphasis: ['emphasis', (text) => labelled(emphasisLabels, text)],
    'Variation seed': ['subseed', seed],
    'Variation seed strength': ['subseedStrength', number],
    'Seed resize from': ['seedResizeFrom', givenSize],
    ENSD: ['etaNoiseSeedDelta', number],
    Eta: ETA,
    'Eta DDIM': ETA,
    'Sigma churn': ['sChurn', number],
    'Sigma tmin': ['sTmin', limit],
    'Sigma tmax': ['sTmax', limit],
    'Sigma noise': ['sNoise', number],
    'Discard penultimate sigma': ['discardPenultimate', oneOf({ True: true, False: null })],
    'Schedule min sigma': ['sigmaMin', number],
    'Schedule max sigma': ['sigmaMax', number],
    'Schedule rho': ['rho', number],
    'Guidance rescale': RESCALE,
    'CFG rescale': RESCALE,
    'CFG Rescale': RESCALE,
    'CFG Rescale phi': RESCALE,
    'CFG Rescale φ': RESCALE,
    'Guidance interval': ['guidanceInterval', interval],
    Posterior: ['posterior', oneOf({ sample: 'sample', mean: null })],
    'Noise multiplier': ['initialNoiseMultiplier', number],
    'Resize mode': ['resizeMode', (text) => labelled(resizeLabels, text)],
    'Mask blur': ['maskBlur', blur],
    'Mask mode': ['maskInvert', oneOf({ 'Inpaint not masked': true, 'Inpaint masked': null })],
    'Mask round': ['maskRound', oneOf({ False: false, True: null })],
    'Masked content': ['fill', (text) => labelled(fillLabels, text)],
    'Inpaint area': ['onlyMasked', oneOf({ 'Only masked': true, 'Whole picture': null })],
    'Masked area padding': ['padding', number],
  }),
);

export const hiresFields: ReadonlyMap<string, Entry<HiresOptions>> = new Map(
  Object.entries<Entry<HiresOptions>>({
    'Hires upscale': ['scale', number],
    'Hires steps': ['steps', (text) => (Number(text) === 0 ? null : number(text))],
    'Hires upscaler': ['upscaler', upscaler],
    'Hires prompt': ['prompt', same],
    'Hires negative prompt': ['negative', same],
    'Hires discard penultimate sigma': ['discardPenultimate', oneOf({ True: true, False: false })],
  }),
);

export const deepCacheFields: ReadonlyMap<string, readonly [option: 'interval' | 'branch', read: Read]> =
  new Map([
    ['DeepCache interval', ['interval', number]],
    ['DeepCache branch', ['branch', number]],
  ]);
