/** Restores single fields of the form from the generation parameters text of an image. */

import { matters, writtenByOthers } from '../../../lib/image/parameter-fields.js';
import { parseParameters } from '../../../lib/image/parameters.js';
import {
  type KnownAdapters,
  knownUpscaler,
  missingAdapters,
  renameLoras,
} from '../../../lib/options/infotext/adapters.js';
import { type LabeledOption, optionsByLabel } from '../../../lib/options/infotext/labels.js';
import { parseSize, parseValue } from '../../../lib/options/infotext/values.js';
import { toJson } from '../../../lib/options/json.js';
import type { About, ApiJob } from '../api/types.js';
import { patched } from './additional-options.js';
import { patchOfOption } from './option-patch.js';
import { defaults, type Settings } from './settings.js';

/** A generation setting of an image, and the change of the form that applies it. */
export interface Field {
  readonly label: string;
  readonly value: string;
  readonly patch: Partial<Settings>;
}

/**
 * Parses A1111's generation parameters text. Settings without a control are kept as additional options if
 * Safelight wrote the text, and dropped if another program did (`unrestoredOf` lists them). In texts of other
 * programs, a missing RNG means GPU and a missing schedule means Automatic.
 * @param adapters available LoRAs and upscalers: tags with other names are renamed by their hashes
 */
export function fieldsOf(text: string, about: About | null, adapters: KnownAdapters = {}): Field[] {
  if (text.trim() === '') return [];
  const parsed = parseParameters(text);
  const { negative } = parsed;
  const fields = withRenamedLoras(parsed.fields, adapters);
  const prompt = renameLoras(parsed.prompt, fields, adapters);
  // The prompts already contain the styles.
  const result: Field[] = [{ label: 'Prompt', value: prompt, patch: { prompt, styles: [] } }];
  result.push({ label: 'Negative prompt', value: negative, patch: { negative, styles: [] } });
  for (const [name, value, patch] of patchesOf(fields, about, adapters))
    if (patch) result.push({ label: name, value, patch });
  if (!writtenByOthers(fields)) return result;
  if (!result.some(({ patch }) => 'schedule' in patch))
    result.push({ label: 'Schedule type', value: 'Automatic', patch: { schedule: AUTOMATIC } });
  if (!result.some(({ patch }) => 'rng' in patch))
    result.push({ label: 'RNG', value: 'GPU', patch: { rng: 'cuda' } });
  return result;
}

/**
 * Returns the settings, LoRAs, embeddings and upscalers of an image that cannot be restored, as `name: value`.
 * @param adapters available LoRAs and embeddings; a missing list is unknown
 */
export function unrestoredOf(text: string, about: About | null, adapters: KnownAdapters = {}): string[] {
  const { prompt, fields: written } = parseParameters(text);
  if (Object.keys(written).length === 0) return [];
  const fields = withRenamedLoras(written, adapters);
  const missing = missingAdapters(
    [renameLoras(prompt, fields, adapters), fields[HIRES_PROMPT]],
    fields,
    adapters,
  );
  const lost = patchesOf(fields, about, adapters).flatMap(([name, value, patch]) =>
    patch || HASHES.has(name) || !matters(name, value) ? [] : [`${name}: ${value}`],
  );
  return [...new Set([...missing.map(({ name, value }) => `${name}: ${value}`), ...lost])];
}

const HIRES_PROMPT = 'Hires prompt';
/** Fields with the hashes of networks, which the prompts name. */
const HASHES: ReadonlySet<string> = new Set(['Lora hashes', 'TI hashes']);

function withRenamedLoras(fields: Fields, adapters: KnownAdapters): Fields {
  const prompt = fields[HIRES_PROMPT];
  return prompt === undefined ? fields : { ...fields, [HIRES_PROMPT]: renameLoras(prompt, fields, adapters) };
}

const AUTOMATIC = 'automatic';

type Fields = Readonly<Record<string, string>>;

/** Returns each field with its change of the form, if it has one. */
function patchesOf(
  fields: Fields,
  about: About | null,
  adapters: KnownAdapters,
): [name: string, value: string, patch: Partial<Settings> | undefined][] {
  const hires = 'Hires upscale' in fields || 'Hires upscaler' in fields;
  const foreign = writtenByOthers(fields);
  // A schedule in the sampler's name takes precedence over Automatic.
  const suffix = samplerOf(fields.Sampler ?? '', about)?.schedule;
  return Object.entries(fields).map(([name, value]) => {
    const patch = patchOf(name, value, { hires, foreign, adapters }, about);
    return [name, value, suffix && patch?.schedule === AUTOMATIC ? { schedule: suffix } : patch];
  });
}

/** Returns the settings of a job whose images contain no text. */
export function fieldsOfOptions(job: ApiJob): Field[] {
  const result: Field[] = [];
  for (const [label, key] of [
    ['Seed', 'seed'],
    ['Temperature', 'temperature'],
    ['Top k', 'topK'],
    ['Top p', 'topP'],
  ] as const) {
    const value = job.options[key];
    if (typeof value === 'number') result.push({ label, value: String(value), patch: { [key]: value } });
  }
  return result;
}

/** Merges the changes of all fields; settings that they do not contain are reset to their defaults. */
export function mergeFields(fields: readonly Field[]): Partial<Settings> {
  const { steps, cfg, sampler, schedule, clipSkip, rng, styles, hires, hiresSteps } = defaults;
  const { hiresPrompt, hiresNegative, subseed, subseedStrength, seedResizeWidth, seedResizeHeight } =
    defaults;
  const blank: Partial<Settings> = {
    ...{ steps, cfg, sampler, schedule, clipSkip, rng, styles, hires, hiresSteps, further: {} },
    ...{ hiresPrompt, hiresNegative, subseed, subseedStrength, seedResizeWidth, seedResizeHeight },
    grid: false,
  };
  return patched([blank, ...fields.map(({ patch }) => patch)]);
}

interface TextOrigin {
  readonly hires: boolean;
  /** True if another program wrote the text. */
  readonly foreign: boolean;
  readonly adapters: KnownAdapters;
}

function patchOf(
  name: string,
  value: string,
  { hires, foreign, adapters }: TextOrigin,
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
    case 'Hires upscaler': {
      const option = optionsByLabel.get(name)!;
      const upscaler = knownUpscaler(String(parseValue(option.field, value) ?? ''), adapters);
      return upscaler === undefined ? undefined : { hires: true, hiresUpscaler: upscaler };
    }
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

/** Returns the sampler, and the schedule if the name contains one, as in older files: `DPM++ 2M Karras`. */
function samplerOf(value: string, about: About | null): Partial<Settings> | undefined {
  const isSame = (label: string, other: string): boolean => label.toLowerCase() === other.toLowerCase();
  const exact = about?.samplers.find(({ label }) => isSame(label, value));
  if (exact) return { sampler: exact.name };
  for (const schedule of about?.schedules ?? []) {
    const sampler = about?.samplers.find(({ label }) => isSame(`${label} ${schedule.label}`, value));
    if (sampler) return { sampler: sampler.name, schedule: schedule.name };
  }
  return undefined;
}

function scheduleOf(value: string, about: About | null): Partial<Settings> | undefined {
  const requested = value.trim().toLowerCase();
  if (requested === AUTOMATIC) return { schedule: AUTOMATIC };
  // A1111's Normal and Uniform have the isSame noise levels.
  const match = about?.schedules.find(({ name, label }) =>
    [name, label.toLowerCase(), ...(name === 'discrete' ? ['normal'] : [])].includes(requested),
  );
  return match ? { schedule: match.name } : undefined;
}
