/** From a picture's parameters back to the form, field by field. */
import { parseParameters } from '../../../lib/image/parameters.js';
import type { About, ShownJob } from '../api/types.js';
import { type Settings, upscalers } from './settings.js';

/** One thing a picture was made with, and what taking it over changes in the form. */
export interface Field {
  readonly label: string;
  readonly value: string;
  readonly patch: Partial<Settings>;
}

/** Reads A1111's text. Fields that the form does not have are left out. */
export function fieldsOf(text: string, about: About | null): Field[] {
  if (text.trim() === '') return [];
  const { prompt, negative, fields } = parseParameters(text);
  const found: Field[] = [{ label: 'Prompt', value: prompt, patch: { prompt } }];
  found.push({ label: 'Negative prompt', value: negative, patch: { negative } });
  const hires = 'Hires upscale' in fields || 'Hires upscaler' in fields;
  for (const [name, value] of Object.entries(fields)) {
    const patch = patchOf(name, value, hires, about);
    if (patch) found.push({ label: name, value, patch });
  }
  return found;
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
  const blank: Partial<Settings> = { steps: null, cfg: null, sampler: null, schedule: null, clipSkip: null };
  return Object.assign({}, blank, { hires: false, rng: 'cpu' }, ...fields.map(({ patch }) => patch));
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
      return sizeOf(value);
    case 'Sampler':
      return samplerOf(value, about);
    case 'Schedule type':
      return scheduleOf(value, about);
    case 'Model':
      return about?.models.some((model) => model.name === value) ? { model: value } : undefined;
    case 'RNG':
      return { rng: value === 'NV' ? 'cuda' : 'cpu' };
    case 'Hires upscaler':
      return upscalerOf(value);
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
  ...{ 'Mask blur': 'maskBlur', 'Masked area padding': 'padding' },
  ...{ 'Hires upscale': 'hiresScale', 'Hires steps': 'hiresSteps' },
};

function sizeOf(value: string): Partial<Settings> | undefined {
  const size = /^(\d+)\s*x\s*(\d+)$/.exec(value);
  return size ? { width: Number(size[1]), height: Number(size[2]) } : undefined;
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
  const found = about?.schedules.find(({ label }) => label.toLowerCase() === value.toLowerCase());
  return found ? { schedule: found.name } : undefined;
}

function upscalerOf(value: string): Partial<Settings> | undefined {
  const found = upscalers.find(([, label]) => label.toLowerCase() === value.toLowerCase());
  return found ? { hires: true, hiresUpscaler: found[0] } : undefined;
}
