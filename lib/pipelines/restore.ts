/** The other way round: from the text that a picture carries to the options that make it again. */
import { parseParameters } from '../image/parameters.js';
import type { HiresOptions } from './hires-options.js';
import { emphasisLabels, fillLabels, labelled, resizeLabels, upscalerLabels } from './labels.js';
import type { GenerateOptions } from './options.js';

/** What a text says; pictures (`init`, `mask`) are not in it. */
export interface Restored {
  readonly options: Partial<GenerateOptions>;
  /** Name of the model, where it is told. */
  readonly model: string | undefined;
}

type Options = { -readonly [K in keyof GenerateOptions]?: GenerateOptions[K] };
type Hires = { -readonly [K in keyof HiresOptions]?: HiresOptions[K] };
type Read = (text: string) => unknown;

/** Values that cannot be read are left out, as if the text did not have them. */
const number: Read = (text) => {
  const value = Number(text);
  return text.trim() === '' || !Number.isFinite(value) ? undefined : value;
};
const yes: Read = (text) => (text === 'True' ? true : undefined);
const same: Read = (text) => text;
const size = (text: string): { width: number; height: number } | undefined => {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(text.trim()) ?? [];
  return width && height ? { width: Number(width), height: Number(height) } : undefined;
};

const PLAIN: Readonly<Record<string, readonly [option: keyof GenerateOptions, read: Read]>> = {
  Steps: ['steps', number],
  Sampler: ['sampler', same],
  'Schedule type': ['schedule', same],
  'CFG scale': ['cfg', number],
  Seed: ['seed', number],
  'Denoising strength': ['strength', number],
  'Clip skip': ['clipSkip', number],
  RNG: ['rng', (text) => (text === 'CPU' ? 'cpu' : 'cuda')],
  Emphasis: ['emphasis', (text) => labelled(emphasisLabels, text)],
  'Variation seed': ['subseed', number],
  'Variation seed strength': ['subseedStrength', number],
  'Seed resize from': ['seedResizeFrom', size],
  ENSD: ['etaNoiseSeedDelta', number],
  Eta: ['eta', number],
  'Eta DDIM': ['eta', number],
  'Sigma churn': ['sChurn', number],
  'Sigma tmin': ['sTmin', number],
  'Sigma tmax': ['sTmax', number],
  'Sigma noise': ['sNoise', number],
  'Discard penultimate sigma': ['discardPenultimate', yes],
  'Schedule min sigma': ['sigmaMin', number],
  'Schedule max sigma': ['sigmaMax', number],
  'Schedule rho': ['rho', number],
  'Guidance rescale': ['guidanceRescale', number],
  'Noise multiplier': ['initialNoiseMultiplier', number],
  'Resize mode': ['resizeMode', (text) => labelled(resizeLabels, text)],
  'Mask blur': ['maskBlur', (text) => blurOf(text)],
  'Mask mode': ['maskInvert', (text) => text === 'Inpaint not masked'],
  'Masked content': ['fill', (text) => labelled(fillLabels, text)],
  'Inpaint area': ['onlyMasked', (text) => text === 'Only masked'],
  'Masked area padding': ['padding', number],
};

const HIRES: Readonly<Record<string, readonly [option: keyof HiresOptions, read: Read]>> = {
  'Hires upscale': ['scale', number],
  'Hires steps': ['steps', (text) => number(text) || undefined],
  'Hires upscaler': ['upscaler', (text) => labelled(upscalerLabels, text)],
  'Hires prompt': ['prompt', same],
  'Hires negative prompt': ['negative', same],
  'Hires sampler': ['sampler', same],
  'Hires schedule type': ['schedule', same],
};

/** Reads A1111's generation parameters, its own and Safelight's. Never throws; `generate` checks what it is given. */
export function restoreOptions(text: string): Restored {
  const { prompt, negative, fields } = parseParameters(text);
  const options: Options = { prompt, ...(negative === '' ? {} : { negative }) };
  const hires: Hires = {};
  for (const [label, value] of Object.entries(fields)) {
    read(PLAIN[label], value, options);
    read(HIRES[label], value, hires);
  }
  Object.assign(options, size(fields.Size ?? ''));
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(fields['Hires resize'] ?? '') ?? [];
  if (Number(width)) hires.width = Number(width);
  if (Number(height)) hires.height = Number(height);
  if (Object.keys(hires).length > 0) {
    const { strength, ...rest } = options;
    return {
      options: { ...rest, hires: { ...hires, ...(strength ? { strength } : {}) } },
      model: fields.Model,
    };
  }
  return { options, model: fields.Model };
}

function read(
  entry: readonly [option: string, read: Read] | undefined,
  text: string,
  into: Record<string, unknown>,
): void {
  const value = entry?.[1](text);
  if (entry && value !== undefined) into[entry[0]] = value;
}

function blurOf(text: string): number | readonly [number, number] | undefined {
  const [x, y, ...more] = text.split('/').map(Number);
  if (more.length > 0 || !Number.isFinite(x)) return undefined;
  return y === undefined ? x : Number.isFinite(y) ? [x!, y] : undefined;
}
