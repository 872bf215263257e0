/** Options as A1111's generation parameters. */
import { readFileSync } from 'node:fs';
import { formatParameters } from '../../image/parameters.js';
import { resolveSampler } from '../../sampling/samplers/index.js';
import { schedules } from '../../sampling/schedules/index.js';
import { type GenerationOptions, generationFields } from '../declarations/generation.js';
import { entriesOf, type Fields } from '../field.js';
import { formatSize, textOf } from './values.js';

/** Fields that come first, as A1111 writes them; the others follow in the order of their declarations. */
const HEAD = ['Steps', 'Sampler', 'Schedule type', 'CFG scale', 'Class', 'Seed', 'Size', 'Model'];

/**
 * The text of one image; fields that have their default are left out, as A1111 does.
 * @param options as `imageOptions` gives them, with the image's own seeds and size
 */
export function formatInfotext(model: string, options: GenerationOptions): string {
  const all: Record<string, string> = {
    ...jointFields(options),
    Model: model,
    ...fieldsOf(generationFields, options),
    Version: `Safelight ${version()}`,
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

/** Fields that stand for several options, or for options that need the registries. */
function jointFields(options: GenerationOptions): Record<string, string> {
  const { width, height, hires } = options;
  const strength = hires?.strength ?? options.strength;
  const fields: Record<string, string | undefined> = {
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
  const given = Object.entries(fields).flatMap(([label, value]): [string, string][] =>
    value === undefined ? [] : [[label, value]],
  );
  return Object.fromEntries(given);
}

function samplerLabel(name: string | undefined): string | undefined {
  return name === undefined ? undefined : resolveSampler(name).sampler.label;
}

function scheduleLabel(wanted: string | undefined): string | undefined {
  return schedules.find(({ name }) => name === wanted)?.label;
}

function rename(fields: Record<string, string>, from: string, to: string): void {
  const value = fields[from];
  delete fields[from];
  if (value !== undefined) fields[to] = value;
}

let known: string | undefined;

/** Of the package, from `lib/` and from `dist/` alike. */
function version(): string {
  known ??= (
    JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
  ).version;
  return known;
}
