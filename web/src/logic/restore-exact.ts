/** Restores the form from the exact options of an image (PNG text `safelight`). */
import { parseParameters } from '../../../lib/image/parameters.js';
import { generationFields } from '../../../lib/options/declarations/generation.js';
import { type ExactText, parseExact } from '../../../lib/options/exact.js';
import { defaultOf, entriesOf, type Fields } from '../../../lib/options/field.js';
import {
  type KnownAdapters,
  missingAdaptersOf,
  missingUpscaler,
  withKnownUpscaler,
  withRenamedLoras,
} from '../../../lib/options/infotext/adapters.js';
import { toJson } from '../../../lib/options/json.js';
import type { About } from '../api/types.js';
import { patched } from './additional-options.js';
import { patchOfOption } from './option-patch.js';
import { fieldsOf, mergeFields, unrestoredOf } from './restore.js';
import { defaults, type Settings } from './settings.js';

/** Texts with generation settings in an image file. */
export interface ImageTexts {
  readonly parameters?: string | undefined;
  readonly safelight?: string | undefined;
}

/** Change of the form to restore an image, and the settings that cannot be restored. */
export interface RestoredForm {
  readonly patch: Partial<Settings>;
  readonly lost: readonly string[];
}

/**
 * Restores the settings of an image; undefined if it has none. Exact options take precedence over generation
 * parameters.
 * @param adapters available LoRAs and embeddings; a missing list is unknown
 */
export function restoredForm(
  texts: ImageTexts,
  about: About | null,
  adapters: KnownAdapters = {},
): RestoredForm | undefined {
  const { parameters = '' } = texts;
  const exact = parseExact(texts.safelight);
  if (exact) return fromExact(exact, about, { adapters, parameters });
  const fields = fieldsOf(parameters, about, adapters);
  return fields.length === 0
    ? undefined
    : { patch: mergeFields(fields), lost: unrestoredOf(parameters, about, adapters) };
}

/** Returns the prompt of an image; undefined if it has no settings. */
export function promptOfTexts(texts: ImageTexts): string | undefined {
  const exact = parseExact(texts.safelight);
  if (exact) return exact.options.prompt ?? '';
  return fieldsOf(texts.parameters ?? '', null)[0]?.value;
}

interface Networks {
  readonly adapters: KnownAdapters;
  /** Generation parameters, which contain the hashes of LoRAs and embeddings. */
  readonly parameters: string;
}

function fromExact(
  { options: exact, model, unknown }: ExactText,
  about: About | null,
  { adapters, parameters }: Networks,
): RestoredForm {
  const { fields } = parseParameters(parameters);
  const renamed = withRenamedLoras(exact, fields, adapters);
  const missing = [...missingAdaptersOf(renamed, fields, adapters), ...missingUpscaler(renamed, adapters)];
  const options = withKnownUpscaler(renamed, adapters);
  const known = model !== undefined && about?.models.some(({ name }) => name === model);
  const { mode: _mode, model: _model, vqganModel: _codes, ...all } = defaults;
  const { gridX: _x, gridY: _y, gridZ: _z, ...blank } = all;
  const patches = patchesOf(generationFields, withDefaults(generationFields, options), '');
  return {
    patch: patched([blank, ...patches, ...(known ? [{ model }] : [])]),
    lost: [
      ...(known || model === undefined ? [] : [`Model: ${model}`]),
      ...[...missing, ...unknown].map(({ name, value }) => `${name}: ${value}`),
    ],
  };
}

/** Fills in the defaults of omitted options, because the form may have different defaults. */
function withDefaults(fields: Fields, options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const all = entriesOf(fields).flatMap(([name, field]): [string, unknown][] => {
    const value = options[name];
    if (field.kind === 'object')
      return value === undefined
        ? []
        : [[name, withDefaults(field.fields, value as Record<string, unknown>)]];
    const fallback = defaultOf(field);
    return (value ?? fallback) === undefined ? [] : [[name, value ?? fallback]];
  });
  return Object.fromEntries(all);
}

function patchesOf(
  fields: Fields,
  options: Readonly<Record<string, unknown>>,
  parent: string,
): Partial<Settings>[] {
  return entriesOf(fields).flatMap(([name, field]): Partial<Settings>[] => {
    const value = options[name];
    if (value === undefined) return [];
    if (field.kind === 'object') {
      const on = name === 'hires' ? [{ hires: true }] : [];
      return [...on, ...patchesOf(field.fields, value as Record<string, unknown>, name)];
    }
    if (name === 'count' || name === 'batch') return [];
    const patch = patchOfOption(parent, name, value);
    if (patch) return [patch];
    if ('default' in field && value === field.default && parent === '') return [];
    const json = toJson({ [name]: value });
    return [{ further: parent === '' ? json : { [parent]: json } }];
  });
}
