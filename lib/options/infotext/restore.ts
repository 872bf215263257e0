/** Restores the options that regenerate an image from the texts in its file. */
import { invalidOption } from '../../errors.js';
import { matters, writtenByOthers } from '../../image/parameter-fields.js';
import { parseParameters } from '../../image/parameters.js';
import type { Warning } from '../../warnings.js';
import type { GenerationOptions } from '../declarations/generation.js';
import type { HiresOptions } from '../declarations/hires.js';
import { EXACT_KEY, parseExact } from '../exact.js';
import {
  type KnownAdapters,
  missingAdaptersOf,
  missingUpscaler,
  type UnrestoredSetting,
  withKnownUpscaler,
  withRenamedLoras,
} from './adapters.js';
import { type LabeledOption, optionsByLabel } from './labels.js';
import { restoreSamplers, samplerFields } from './samplers.js';
import { parseSize, parseValue, type Size } from './values.js';

export type { KnownAdapter, KnownAdapters, UnrestoredSetting } from './adapters.js';

/** Options read from the texts of an image. Images (`init`, `mask`) are not included. */
export interface Restored {
  readonly options: GenerationOptions;
  /** Name of the model, if the text contains it. */
  readonly model: string | undefined;
  /** Settings in the text that have no equivalent in `options`, by field name. */
  readonly unrestored: readonly UnrestoredSetting[];
  /** One NOT_RESTORED warning that lists them, or none. */
  readonly warnings: readonly Warning[];
}

type Options = { -readonly [K in keyof GenerationOptions]?: GenerationOptions[K] };
type Hires = { -readonly [K in keyof HiresOptions]?: HiresOptions[K] };
type Texts = Readonly<Record<string, string>>;

/**
 * Restores options from the texts of an image as returned by `readPngText`: from Safelight's exact options
 * (`safelight`) if they are present and valid, otherwise from A1111's generation parameters (`parameters`). A string
 * is parsed as generation parameters, as written by A1111, Safelight and compatible programs. As in A1111, a missing
 * `RNG` in parameters of other programs means GPU noise (`rng: 'cuda'`) and a missing `Schedule type` means
 * `Automatic`. Accepts any text; `generate` validates the options.
 * @param adapters available LoRAs, embeddings and upscalers: tags of LoRAs with other names are renamed by their hashes,
 *   and missing adapters and upscalers are listed in `unrestored`
 * @throws INVALID_OPTION if `texts` is neither a string nor an object
 */
export function restoreOptions(texts: string | Texts, adapters: KnownAdapters = {}): Restored {
  if (typeof texts === 'string') return restoreInfotext(texts, adapters);
  if (typeof texts !== 'object' || texts === null || Array.isArray(texts))
    throw invalidOption('texts', 'a string or an object of texts as returned by readPngText', texts);
  const exact = parseExact(texts[EXACT_KEY]);
  if (!exact) return restoreInfotext(texts.parameters ?? '', adapters);
  // The hashes of adapters are in the generation parameters only.
  const { fields } = parseParameters(texts.parameters ?? '');
  const { model, unknown } = exact;
  const options = withRenamedLoras(exact.options, fields, adapters);
  const unrestored = [
    ...unknown,
    ...missingAdaptersOf(options, fields, adapters),
    ...missingUpscaler(options, adapters),
  ];
  return {
    options: withKnownUpscaler(options, adapters),
    model,
    ...{ unrestored, warnings: warningsOf(unrestored) },
  };
}

function restoreInfotext(text: string, adapters: KnownAdapters): Restored {
  const { prompt, negative, fields } = parseParameters(text);
  const foreign = writtenByOthers(fields);
  const samplers = restoreSamplers(fields);
  const options: Options = { prompt, ...(negative === '' ? {} : { negative }) };
  const hires: Hires = {};
  const groups = { deepCache: {}, apg: {} };
  const targets: Record<string, object> = { '': options, hires, ...groups };
  const lost = new Map<string, string>(samplers.unknown.map((name) => [name, fields[name]!]));
  for (const [name, value] of Object.entries(fields)) {
    const known =
      samplerFields.has(name) ||
      SIZES.has(name) ||
      (name === 'Model' && !foreign) ||
      // An option of loading a model.
      name === 'Precision' ||
      name === 'Lora hashes' ||
      name === 'TI hashes' ||
      restoreField(optionsByLabel.get(name), value, targets);
    if (!known && matters(name, value)) lost.set(name, value);
  }
  for (const name of restoreSizes(fields, options, hires)) lost.set(name, fields[name]!);
  if (foreign && options.rng === undefined) options.rng = 'cuda';
  Object.assign(options, { ...samplers.options, ...options });
  // The number of sigmas determines the steps.
  if (options.sigmas) delete options.steps;
  for (const [name, group] of Object.entries(groups))
    if (Object.keys(group).length > 0) Object.assign(options, { [name]: group });
  const restored = withRenamedLoras(withHires(options, { ...samplers.hires, ...hires }), fields, adapters);
  const unrestored = [
    ...missingAdaptersOf(restored, fields, adapters),
    ...missingUpscaler(restored, adapters),
  ];
  for (const [name, value] of lost) unrestored.push({ name, value });
  return {
    options: withKnownUpscaler(restored, adapters),
    model: fields.Model,
    ...{ unrestored, warnings: warningsOf(unrestored) },
  };
}

/** Adds the second pass. `Denoising strength` of a text with a second pass refers to that pass. */
function withHires(options: Options, hires: Hires): Options {
  if (Object.keys(hires).length === 0) return options;
  const { strength, ...rest } = options;
  return { ...rest, hires: { ...hires, ...(strength ? { strength } : {}) } };
}

/** Parses a field into its target. @returns false for an unknown field or an unparsable value */
function restoreField(
  entry: LabeledOption | undefined,
  text: string,
  targets: Readonly<Record<string, object>>,
): boolean {
  const value = entry && parseValue(entry.field, text);
  if (!entry || value === undefined) return false;
  if (value !== null) Object.assign(targets[entry.parent]!, { [entry.name]: value });
  return true;
}

const SIZES: ReadonlySet<string> = new Set(['Size', 'Hires resize', 'First pass size']);

/** Restores the fields of sizes. @returns the names of those that cannot be parsed */
function restoreSizes(fields: Texts, options: Options, hires: Hires): string[] {
  const size = parseSize(fields.Size ?? '');
  Object.assign(options, size);
  const resize = parseSize(fields['Hires resize'] ?? '');
  if (resize?.width) hires.width = resize.width;
  if (resize?.height) hires.height = resize.height;
  const first = parseSize(fields['First pass size'] ?? '');
  // A1111 before 1.0 wrote the size of the second pass as `Size`.
  if (first && size) {
    Object.assign(options, first.width && first.height ? first : firstPassOf(size));
    Object.assign(hires, size);
  }
  return [...SIZES].filter((name) => Object.hasOwn(fields, name) && !parseSize(fields[name]!));
}

/** Size that A1111 before 1.0 chose for the first pass: about 512 x 512 pixels, rounded up to multiples of 64. */
function firstPassOf({ width, height }: Size): Size {
  const scale = Math.sqrt((512 * 512) / (width * height));
  const onGrid = (side: number): number => Math.ceil((scale * side) / 64) * 64;
  return { width: onGrid(width), height: onGrid(height) };
}

/** Characters of a value quoted in the warning. */
const MAX_QUOTED = 60;

function warningsOf(unrestored: readonly UnrestoredSetting[]): Warning[] {
  if (unrestored.length === 0) return [];
  const shown = (value: string) => (value.length > MAX_QUOTED ? `${value.slice(0, MAX_QUOTED)}...` : value);
  const list = unrestored.map(({ name, value }) => `${name} (${shown(value)})`).join(', ');
  return [{ code: 'NOT_RESTORED', message: `Settings of the image that cannot be restored: ${list}` }];
}
