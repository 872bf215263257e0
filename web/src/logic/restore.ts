/** From an image's parameters back to the form, field by field. */

import { unsupportedSyntax } from '../../../lib/conditioning/unsupported-syntax.js';
import { matters, writtenByOthers } from '../../../lib/image/parameter-fields.js';
import { parseParameters } from '../../../lib/image/parameters.js';
import type { About, ShownJob } from '../api/types.js';
import { defaults, type Settings } from './settings.js';

/** One thing a picture was made with, and what taking it over changes in the form. */
export interface Field {
  readonly label: string;
  readonly value: string;
  readonly patch: Partial<Settings>;
}

const FILLS: Readonly<Record<string, Settings['fill']>> = {
  ...{ fill: 'fill', original: 'original', 'latent noise': 'noise', 'latent nothing': 'nothing' },
};

/**
 * Reads A1111's text. Fields that the form does not have are left out (`unrestoredOf` lists them). In texts of other programs a missing RNG
 * is the GPU's, and a schedule that is written nowhere is Automatic.
 */
export function fieldsOf(text: string, about: About | null): Field[] {
  if (text.trim() === '') return [];
  const { prompt, negative, fields } = parseParameters(text);
  // These prompts have their styles in them already.
  const found: Field[] = [{ label: 'Prompt', value: prompt, patch: { prompt, styles: [] } }];
  found.push({ label: 'Negative prompt', value: negative, patch: { negative, styles: [] } });
  for (const [name, value, patch] of patchesOf(fields, about))
    if (patch) found.push({ label: name, value, patch });
  if (!writtenByOthers(fields)) return found;
  if (!found.some(({ patch }) => 'schedule' in patch))
    found.push({ label: 'Schedule type', value: 'Automatic', patch: { schedule: AUTOMATIC } });
  if (!found.some(({ patch }) => 'rng' in patch))
    found.push({ label: 'RNG', value: 'GPU', patch: { rng: 'cuda' } });
  return found;
}

/** Settings and networks of the image that the form cannot have, as `name: value`; the hashes of networks only where no tag names them. */
export function unrestoredOf(text: string, about: About | null): string[] {
  const { prompt, negative, fields } = parseParameters(text);
  if (Object.keys(fields).length === 0) return [];
  const foreign = writtenByOthers(fields);
  const networks = foreign
    ? [...unsupportedSyntax(prompt), ...unsupportedSyntax(negative, { negative: true })].map(
        ({ text }) => text,
      )
    : [];
  const lost = patchesOf(fields, about).flatMap(([name, value, patch]) =>
    patch || (name === 'Lora hashes' && networks.length > 0) || !matters(name, value)
      ? []
      : [`${name}: ${value}`],
  );
  return [...new Set([...networks, ...lost])];
}

const AUTOMATIC = 'automatic';

/** Each field with what it changes in the form, if it can. */
function patchesOf(
  fields: Readonly<Record<string, string>>,
  about: About | null,
): [name: string, value: string, patch: Partial<Settings> | undefined][] {
  const hires = 'Hires upscale' in fields || 'Hires upscaler' in fields;
  // A schedule in the sampler's name says more than Automatic.
  const own = samplerOf(fields.Sampler ?? '', about)?.schedule;
  return Object.entries(fields).map(([name, value]) => {
    const patch = patchOf(name, value, hires, about);
    return [name, value, own && patch?.schedule === AUTOMATIC ? { schedule: own } : patch];
  });
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
      return { rng: value.toUpperCase() === 'CPU' ? 'cpu' : 'cuda' };
    case 'Masked content':
      return Object.hasOwn(FILLS, value) ? { fill: FILLS[value]! } : undefined;
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
      const key = NUMBERS.get(name);
      if (!key || !finite) return undefined;
      // Another seed than the one that is written.
      if (key === 'seed' && !(Number.isSafeInteger(number) && number >= 0)) return undefined;
      return key.startsWith('hires') ? { hires: true, [key]: number } : { [key]: number };
    }
  }
}

const NUMBERS: ReadonlyMap<string, keyof Settings> = new Map([
  ...([
    ['Steps', 'steps'],
    ['CFG scale', 'cfg'],
    ['Seed', 'seed'],
    ['Clip skip', 'clipSkip'],
    ['Variation seed', 'subseed'],
    ['Variation seed strength', 'subseedStrength'],
  ] as const),
  ...([
    ['Mask blur', 'maskBlur'],
    ['Masked area padding', 'padding'],
    ['Hires upscale', 'hiresScale'],
  ] as const),
]);

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
  const wanted = value.trim().toLowerCase();
  if (wanted === AUTOMATIC) return { schedule: AUTOMATIC };
  // A1111's Normal and Uniform are the same levels.
  const found = about?.schedules.find(({ name, label }) =>
    [name, label.toLowerCase(), ...(name === 'discrete' ? ['normal'] : [])].includes(wanted),
  );
  return found ? { schedule: found.name } : undefined;
}

function upscalerOf(value: string, about: About | null): Partial<Settings> | undefined {
  const found = about?.hiresUpscalers?.find(({ label }) => label.toLowerCase() === value.toLowerCase());
  return found ? { hires: true, hiresUpscaler: found.name } : undefined;
}
