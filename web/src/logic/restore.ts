/** From the texts of an image back to the form, field by field. */

import { unsupportedSyntax } from '../../../lib/conditioning/unsupported-syntax.js';
import { matters, writtenByOthers } from '../../../lib/image/parameter-fields.js';
import { parseParameters } from '../../../lib/image/parameters.js';
import { type LabeledOption, optionsByLabel } from '../../../lib/options/infotext/labels.js';
import { parseSize, parseValue } from '../../../lib/options/infotext/values.js';
import { toJson } from '../../../lib/options/json.js';
import type { About, ShownJob } from '../api/types.js';
import { patched } from './further.js';
import { patchOfOption } from './option-patch.js';
import { defaults, type Settings } from './settings.js';

/** One thing an image was made with, and what taking it over changes in the form. */
export interface Field {
  readonly label: string;
  readonly value: string;
  readonly patch: Partial<Settings>;
}

/**
 * Reads A1111's text. What Safelight wrote and the form does not have is carried along with it; of other programs it is left out
 * (`unrestoredOf` lists it). In texts of other programs a missing RNG is the GPU's, and a schedule that is written nowhere is Automatic.
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

type Fields = Readonly<Record<string, string>>;

/** Each field with what it changes in the form, if it can. */
function patchesOf(
  fields: Fields,
  about: About | null,
): [name: string, value: string, patch: Partial<Settings> | undefined][] {
  const hires = 'Hires upscale' in fields || 'Hires upscaler' in fields;
  const foreign = writtenByOthers(fields);
  // A schedule in the sampler's name says more than Automatic.
  const own = samplerOf(fields.Sampler ?? '', about)?.schedule;
  return Object.entries(fields).map(([name, value]) => {
    const patch = patchOf(name, value, { hires, foreign }, about);
    return [name, value, own && patch?.schedule === AUTOMATIC ? { schedule: own } : patch];
  });
}

/** Of jobs whose images carry no text. */
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
    ...{ steps, cfg, sampler, schedule, clipSkip, rng, styles, hires, hiresSteps, further: {} },
    ...{ hiresPrompt, hiresNegative, subseed, subseedStrength, seedResizeWidth, seedResizeHeight },
  };
  return patched([blank, ...fields.map(({ patch }) => patch)]);
}

interface Written {
  readonly hires: boolean;
  /** By another program. */
  readonly foreign: boolean;
}

function patchOf(
  name: string,
  value: string,
  { hires, foreign }: Written,
  about: About | null,
): Partial<Settings> | undefined {
  switch (name) {
    case 'Size': {
      const size = parseSize(value);
      return size && { ...size };
    }
    case 'Sampler':
      return samplerOf(value, about);
    case 'Schedule type':
      return scheduleOf(value, about);
    case 'Model':
      return about?.models.some((model) => model.name === value) ? { model: value } : undefined;
    case 'Hires sampler':
    case 'Hires schedule type':
      return foreign || !hires
        ? undefined
        : { hires, further: { hires: { [name === 'Hires sampler' ? 'sampler' : 'schedule']: value } } };
    case 'Hires resize': {
      const size = foreign ? undefined : parseSize(value);
      const sides = size && Object.entries(size).filter(([, side]) => side > 0);
      return sides && { hires: true, further: { hires: Object.fromEntries(sides) } };
    }
    case 'Denoising strength':
      return declaredPatch({ ...optionsByLabel.get(name)!, parent: hires ? 'hires' : '' }, value, foreign);
    default: {
      const option = optionsByLabel.get(name);
      return option && declaredPatch(option, value, foreign);
    }
  }
}

function declaredPatch(
  { parent, name, field }: LabeledOption,
  text: string,
  foreign: boolean,
): Partial<Settings> | undefined {
  const value = parseValue(field, text);
  if (value === undefined) return undefined;
  const patch = patchOfOption(parent, name, value);
  if (patch || foreign || value === null) return patch;
  const json = toJson({ [name]: value });
  return parent === '' ? { further: json } : { further: { [parent]: json } };
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
