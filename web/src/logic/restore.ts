/** From a picture's parameters back to the form, field by field. */
import { parseParameters } from '../../../lib/image/parameters.js';
import type { About, ShownJob } from '../api/types.js';
import { defaults, type Settings } from './settings.js';

/** One thing a picture was made with, and what taking it over changes in the form. */
export interface Field {
  readonly label: string;
  readonly value: string;
  readonly patch: Partial<Settings>;
}

/** Facts about a file that no setting stands for. */
const INFORMATION = /^(?:Version|Model hash|VAE hash|User|Hashes)$/;
const FILLS: Readonly<Record<string, Settings['fill']>> = {
  ...{ fill: 'fill', original: 'original', 'latent noise': 'noise', 'latent nothing': 'nothing' },
};

/** Reads A1111's text. Fields that the form does not have are left out. */
export function fieldsOf(text: string, about: About | null): Field[] {
  if (text.trim() === '') return [];
  const { prompt, negative, fields } = parseParameters(text);
  // These prompts have their styles in them already.
  const found: Field[] = [{ label: 'Prompt', value: prompt, patch: { prompt, styles: [] } }];
  found.push({ label: 'Negative prompt', value: negative, patch: { negative, styles: [] } });
  const hires = isHires(fields);
  for (const [name, value] of Object.entries(fields)) {
    const patch = patchOf(name, value, hires, about);
    if (patch) found.push({ label: name, value, patch });
  }
  return [...found, ...impliedBy(fields, found)];
}

/** Names (with the value where it tells something) of the fields that the form cannot take over. */
export function notRestored(text: string, about: About | null): string[] {
  const { fields } = parseParameters(text);
  const hires = isHires(fields);
  return Object.entries(fields)
    .filter(([name, value]) => !INFORMATION.test(name) && !patchOf(name, value, hires, about))
    .map(([name, value]) => (value.length > 40 ? name : `${name}: ${value}`));
}

function isHires(fields: Readonly<Record<string, string>>): boolean {
  return 'Hires upscale' in fields || 'Hires upscaler' in fields;
}

/** stable-diffusion-webui leaves out what is its default: noise of the GPU and the sampler's own schedule. Safelight writes both down. */
function impliedBy(fields: Readonly<Record<string, string>>, found: readonly Field[]): Field[] {
  if (Object.keys(fields).length === 0 || fields.Version?.startsWith('Safelight')) return [];
  const has = (key: keyof Settings): boolean => found.some(({ patch }) => key in patch);
  const implied: Field[] = [];
  if (!has('rng')) implied.push({ label: 'RNG', value: 'GPU', patch: { rng: 'cuda' } });
  if (has('sampler') && !has('schedule'))
    implied.push({ label: 'Schedule type', value: 'Automatic', patch: { schedule: 'Automatic' } });
  return implied;
}

/** Of jobs whose pictures carry no text. */
export function fieldsOfOptions(job: ShownJob): Field[] {
  const found: Field[] = [];
  for (const [label, key] of [
    ['Seed', 'seed'],
    ['Temperature', 'temperature'],
    ['Top k', 'topK'],
    ['Top p', 'topP'],
  ] as const) {
    const value = job.options[key];
    if (typeof value === 'number') found.push({ label, value: String(value), patch: { [key]: value } });
  }
  return found;
}

/** Everything that the fields say, with what they do not say as the model has it. */
export function merged(fields: readonly Field[]): Partial<Settings> {
  const { steps, cfg, sampler, schedule, clipSkip, rng, styles, hires, hiresSteps } = defaults;
  const { hiresPrompt, hiresNegative, subseed, subseedStrength, seedResizeWidth, seedResizeHeight } =
    defaults;
  const blank: Partial<Settings> = {
    ...{ steps, cfg, sampler, schedule, clipSkip, rng, styles, hires, hiresSteps },
    ...{ hiresPrompt, hiresNegative, subseed, subseedStrength, seedResizeWidth, seedResizeHeight },
  };
  return Object.assign({}, blank, ...fields.map(({ patch }) => patch));
}

function patchOf(
  name: string,
  value: string,
  hires: boolean,
  about: About | null,
): Partial<Settings> | undefined {
  const number = Number(value);
  const finite = value !== '' && Number.isFinite(number);
  switch (name) {
    case 'Size':
      return sizeOf(value, 'width', 'height');
    case 'Seed resize from':
      return sizeOf(value, 'seedResizeWidth', 'seedResizeHeight');
    case 'Sampler':
      return samplerOf(value, about);
    case 'Schedule type':
      return scheduleOf(value, about);
    case 'Model':
      return about?.models.some((model) => model.name === value) ? { model: value } : undefined;
    case 'RNG':
      return { rng: value === 'CPU' ? 'cpu' : 'cuda' };
    case 'Masked content':
      return FILLS[value] && { fill: FILLS[value] };
    case 'Inpaint area':
      return { onlyMasked: value === 'Only masked' };
    case 'Hires upscaler':
      return upscalerOf(value, about);
    case 'Hires prompt':
      return { hires, hiresPrompt: value };
    case 'Hires negative prompt':
      return { hires, hiresNegative: value };
    case 'Hires steps':
      return finite ? { hires, hiresSteps: number || null } : undefined; // 0 is as many as the first pass
    case 'Denoising strength':
      return finite ? (hires ? { hires, hiresStrength: number } : { strength: number }) : undefined;
    default: {
      const key = NUMBERS[name];
      if (!key || !finite) return undefined;
      return key.startsWith('hires') ? { hires: true, [key]: number } : { [key]: number };
    }
  }
}

const NUMBERS: Readonly<Record<string, keyof Settings>> = {
  ...{ Steps: 'steps', 'CFG scale': 'cfg', Seed: 'seed', 'Clip skip': 'clipSkip' },
  ...{ 'Variation seed': 'subseed', 'Variation seed strength': 'subseedStrength' },
  ...{ 'Mask blur': 'maskBlur', 'Masked area padding': 'padding', 'Hires upscale': 'hiresScale' },
};

function sizeOf(value: string, width: keyof Settings, height: keyof Settings): Partial<Settings> | undefined {
  const size = /^(\d{1,5})\s*x\s*(\d{1,5})$/.exec(value);
  return size ? { [width]: Number(size[1]), [height]: Number(size[2]) } : undefined;
}

/** Older files say both in one: `DPM++ 2M Karras`. */
function samplerOf(value: string, about: About | null): Partial<Settings> | undefined {
  const same = (label: string, other: string): boolean => label.toLowerCase() === other.toLowerCase();
  const exact = about?.samplers.find(({ label }) => same(label, value));
  if (exact) return { sampler: exact.name };
  for (const schedule of about?.schedules ?? []) {
    const sampler = about?.samplers.find(({ label }) => same(`${label} ${schedule.label}`, value));
    if (sampler) return { sampler: sampler.name, schedule: schedule.name };
  }
  return undefined;
}

function scheduleOf(value: string, about: About | null): Partial<Settings> | undefined {
  if (/^automatic$/i.test(value)) return { schedule: 'Automatic' };
  const found = about?.schedules.find(({ label }) => label.toLowerCase() === value.toLowerCase());
  return found ? { schedule: found.name } : undefined;
}

function upscalerOf(value: string, about: About | null): Partial<Settings> | undefined {
  const found = about?.hiresUpscalers?.find(({ label }) => label.toLowerCase() === value.toLowerCase());
  return found ? { hires: true, hiresUpscaler: found.name } : undefined;
}
