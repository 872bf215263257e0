/** Restores the options that regenerate an image from the texts in its file. */
import { type UnsupportedKind, unsupportedSyntax } from '../../conditioning/unsupported-syntax.js';
import { invalidOption } from '../../errors.js';
import { matters, namesOfHashes, writtenByOthers } from '../../image/parameter-fields.js';
import { parseParameters } from '../../image/parameters.js';
import type { Warning } from '../../warnings.js';
import type { GenerationOptions } from '../declarations/generation.js';
import type { HiresOptions } from '../declarations/hires.js';
import { EXACT_KEY, parseExact } from '../exact.js';
import { type LabeledOption, optionsByLabel } from './labels.js';
import { restoreSamplers, samplerFields } from './samplers.js';
import { parseSize, parseValue, type Size } from './values.js';

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

export interface UnrestoredSetting {
  /** Field name as A1111 writes it (`VAE`, `Hires upscaler`), or the kind of a network in the prompt (`LoRA`). */
  readonly name: string;
  readonly value: string;
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
 * @throws INVALID_OPTION if `texts` is neither a string nor an object
 */
export function restoreOptions(texts: string | Texts): Restored {
  if (typeof texts === 'string') return restoreInfotext(texts);
  if (typeof texts !== 'object' || texts === null || Array.isArray(texts))
    throw invalidOption('texts', 'a string or an object of texts as returned by readPngText', texts);
  const exact = parseExact(texts[EXACT_KEY]);
  if (!exact) return restoreInfotext(texts.parameters ?? '');
  const { options, model, unknown } = exact;
  return { options, model, unrestored: unknown, warnings: warningsOf(unknown) };
}

function restoreInfotext(text: string): Restored {
  const { prompt, negative, fields } = parseParameters(text);
  const foreign = writtenByOthers(fields);
  const samplers = restoreSamplers(fields);
  const options: Options = { prompt, ...(negative === '' ? {} : { negative }) };
  const hires: Hires = {};
  const deepCache: Options['deepCache'] = {};
  const targets: Record<string, object> = { '': options, hires, deepCache };
  const lost = new Map<string, string>(samplers.unknown.map((name) => [name, fields[name]!]));
  for (const [name, value] of Object.entries(fields)) {
    const known =
      samplerFields.has(name) ||
      SIZES.has(name) ||
      (name === 'Model' && !foreign) ||
      name === 'Lora hashes' ||
      restoreField(optionsByLabel.get(name), value, targets);
    if (!known && matters(name, value)) lost.set(name, value);
  }
  for (const name of restoreSizes(fields, options, hires)) lost.set(name, fields[name]!);
  if (foreign && options.rng === undefined) options.rng = 'cuda';
  Object.assign(options, { ...samplers.options, ...options });
  // The number of sigmas determines the steps.
  if (options.sigmas) delete options.steps;
  if (Object.keys(deepCache).length > 0) options.deepCache = deepCache;
  const unrestored = [
    ...(foreign ? networksOf([prompt, negative, hires.prompt, hires.negative], fields) : []),
  ];
  for (const [name, value] of lost) unrestored.push({ name, value });
  return {
    options: withHires(options, { ...samplers.hires, ...hires }),
    model: fields.Model,
    unrestored,
    warnings: warningsOf(unrestored),
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

const KINDS: Readonly<Record<UnsupportedKind, string>> = {
  ...{ lora: 'LoRA', lyco: 'LyCORIS', hypernet: 'Hypernetwork' },
  ...{ editing: 'Prompt editing', alternation: 'Alternation', AND: 'AND' },
};

/** Lists networks and other unsupported syntax in the prompts, and LoRAs named in `Lora hashes` only. */
function networksOf(prompts: readonly (string | undefined)[], fields: Texts): UnrestoredSetting[] {
  const inPrompts = prompts.flatMap((prompt = '', i) =>
    unsupportedSyntax(prompt, { negative: i % 2 === 1 }).map(({ kind, text }) => ({
      name: KINDS[kind],
      value: text,
    })),
  );
  const named = inPrompts.map(({ value }) => value.split(':')[1]?.replace(/>$/, ''));
  const hashed = namesOfHashes(fields['Lora hashes'] ?? '').filter((name) => !named.includes(name));
  const all = [...inPrompts, ...hashed.map((value) => ({ name: 'LoRA', value }))];
  return [...new Map(all.map((setting) => [`${setting.name} ${setting.value}`, setting])).values()];
}

/** Characters of a value quoted in the warning. */
const MAX_QUOTED = 60;

function warningsOf(unrestored: readonly UnrestoredSetting[]): Warning[] {
  if (unrestored.length === 0) return [];
  const shown = (value: string) => (value.length > MAX_QUOTED ? `${value.slice(0, MAX_QUOTED)}...` : value);
  const list = unrestored.map(({ name, value }) => `${name} (${shown(value)})`).join(', ');
  return [{ code: 'NOT_RESTORED', message: `Settings of the image that cannot be restored: ${list}` }];
}
