/** Formats options as A1111's generation parameters. */
import { formatParameters } from '../../image/parameters.js';
import { packageVersion } from '../../package.js';
import { resolveSampler } from '../../sampling/samplers/index.js';
import { schedules } from '../../sampling/schedules/index.js';
import { type GenerationOptions, generationFields } from '../declarations/generation.js';
import { entriesOf, type Fields } from '../field.js';
import { formatSize, textOf } from './values.js';

/** Fields that A1111 writes first; the others follow in the order of their declarations. */
const HEAD = ['Steps', 'Sampler', 'Schedule type', 'CFG scale', 'Class', 'Seed', 'Size', 'Model'];

/**
 * Formats the generation parameters of an image. Omits most fields at their default, as A1111 does.
 * @param options as returned by `imageOptions`, with the seeds and size of this image
 * @param unwritten names of options that the text cannot store, written as the field `Unwritten`
 * @param hashes fields of adapters such as `Lora hashes`
 */
export function formatInfotext(
  model: string,
  options: GenerationOptions,
  unwritten: readonly string[] = [],
  hashes: Readonly<Record<string, string>> = {},
): string {
  const all: Record<string, string> = {
    ...jointFields(options),
    Model: model,
    ...fieldsOf(generationFields, options),
    ...hashes,
    ...(unwritten.length > 0 ? { Unwritten: unwritten.join(' ') } : {}),
    Version: `Safelight ${packageVersion()}`,
  };
  if (options.sampler === 'ddim') rename(all, 'Eta', 'Eta DDIM');
  const { Version, ...rest } = all;
  const first = HEAD.filter((label) => label in rest);
  const others = Object.keys(rest).filter((label) => !HEAD.includes(label));
  return formatParameters({
    prompt: options.prompt ?? '',
    negative: options.negative ?? '',
    fields: Object.fromEntries([...first, ...others, 'Version'].map((label) => [label, all[label]!])),
  });
}

function fieldsOf(fields: Fields, options: { readonly [name: string]: unknown }): Record<string, string> {
  const written = entriesOf(fields).flatMap(([name, field]): [string, string][] => {
    const value = options[name];
    if (value === undefined) return [];
    if (field.kind === 'object')
      return Object.entries(fieldsOf(field.fields, value as Record<string, unknown>));
    const isDefault = 'default' in field && value === field.default;
    if (!field.infotext || (isDefault && !field.infotext.always)) return [];
    return [[field.infotext.label, textOf(field, value)]];
  });
  return Object.fromEntries(written);
}

/** Fields that combine several options or that need the registries of samplers and schedules. */
function jointFields(options: GenerationOptions): Record<string, string> {
  const { width, height, hires } = options;
  const strength = hires?.strength ?? options.strength;
  const fields: Record<string, string | undefined> = {
    Steps: options.sigmas && String(options.sigmas.filter((sigma) => sigma > 0).length),
    Sampler: samplerLabel(options.sampler),
    'Schedule type': scheduleLabel(options.schedule),
    Size: width === undefined || height === undefined ? undefined : formatSize({ width, height }),
    'Denoising strength': strength === undefined ? undefined : String(strength),
    'Hires resize':
      hires && (hires.width ?? hires.height) !== undefined
        ? formatSize({ width: hires.width ?? 0, height: hires.height ?? 0 })
        : undefined,
    'Hires sampler': samplerLabel(hires?.sampler),
    'Hires schedule type': scheduleLabel(hires?.schedule),
  };
  const entries = Object.entries(fields).flatMap(([label, value]): [string, string][] =>
    value === undefined ? [] : [[label, value]],
  );
  return Object.fromEntries(entries);
}

function samplerLabel(name: string | undefined): string | undefined {
  return name === undefined ? undefined : resolveSampler(name).sampler.label;
}

function scheduleLabel(wanted: string | undefined): string | undefined {
  return wanted === 'automatic' ? 'Automatic' : schedules.find(({ name }) => name === wanted)?.label;
}

function rename(fields: Record<string, string>, from: string, to: string): void {
  const value = fields[from];
  delete fields[from];
  if (value !== undefined) fields[to] = value;
}
