/** From the texts that an image carries to the options that make it again. */
import { type UnsupportedKind, unsupportedSyntax } from '../../conditioning/unsupported-syntax.js';
import { invalidOption } from '../../errors.js';
import { matters, namesOfHashes, writtenByOthers } from '../../image/parameter-fields.js';
import { parseParameters } from '../../image/parameters.js';
import type { Warning } from '../../warnings.js';
import type { GenerationOptions } from '../declarations/generation.js';
import type { HiresOptions } from '../declarations/hires.js';
import { EXACT, parseExact } from '../exact.js';
import { type LabeledOption, optionsByLabel } from './labels.js';
import { restoreSamplers, samplerFields } from './samplers.js';
import { parseSize, parseValue, type Size } from './values.js';

/** The content of a text; images (`init`, `mask`) are not in it. */
export interface Restored {
  readonly options: GenerationOptions;
  /** Name of the model, where it is written. */
  readonly model: string | undefined;
  /** Settings that the image was made with and that `options` cannot give, by the names of their fields. */
  readonly unrestored: readonly UnrestoredSetting[];
  /** One NOT_RESTORED warning that lists them, or none. */
  readonly warnings: readonly Warning[];
}

export interface UnrestoredSetting {
  /** As A1111 writes it (`VAE`, `Hires upscaler`); `LoRA` and the like for networks in a prompt. */
  readonly name: string;
  readonly value: string;
}

type Options = { -readonly [K in keyof GenerationOptions]?: GenerationOptions[K] };
type Hires = { -readonly [K in keyof HiresOptions]?: HiresOptions[K] };
type Texts = Readonly<Record<string, string>>;

/**
 * Reads the texts of an image, as `readPngText` gives them: Safelight's exact options (`safelight`) where they are there and right, else
 * A1111's generation parameters (`parameters`). A string is such parameters: A1111's own, Safelight's and those of programs that write
 * them alike. In parameters that Safelight did not write, a missing `RNG` is noise of the GPU (`rng: 'cuda'`) and a missing `Schedule type`
 * is `Automatic`, as A1111 reads them. Accepts every text; `generate` checks the options it is given.
 * @throws INVALID_OPTION for what is no text
 */
export function restoreOptions(texts: string | Texts): Restored {
  if (typeof texts === 'string') return restoreInfotext(texts);
  if (typeof texts !== 'object' || texts === null || Array.isArray(texts))
    throw invalidOption('texts', 'string, or texts as readPngText gives them', texts);
  const exact = parseExact(texts[EXACT]);
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
      read(optionsByLabel.get(name), value, targets);
    if (!known && matters(name, value)) lost.set(name, value);
  }
  for (const name of restoreSizes(fields, options, hires)) lost.set(name, fields[name]!);
  if (foreign && options.rng === undefined) options.rng = 'cuda';
  Object.assign(options, { ...samplers.options, ...options });
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

/** The strength of a text with a second pass is that pass's. */
function withHires(options: Options, hires: Hires): Options {
  if (Object.keys(hires).length === 0) return options;
  const { strength, ...rest } = options;
  return { ...rest, hires: { ...hires, ...(strength ? { strength } : {}) } };
}

/** @returns whether there was something to read, and it could be read */
function read(
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

/** @returns names of fields that are no sizes */
function restoreSizes(fields: Texts, options: Options, hires: Hires): string[] {
  const size = parseSize(fields.Size ?? '');
  Object.assign(options, size);
  const resize = parseSize(fields['Hires resize'] ?? '');
  if (resize?.width) hires.width = resize.width;
  if (resize?.height) hires.height = resize.height;
  const first = parseSize(fields['First pass size'] ?? '');
  // Before version 1.0, A1111 wrote the size of the second pass as the size.
  if (first && size) {
    Object.assign(options, first.width && first.height ? first : firstPassOf(size));
    Object.assign(hires, size);
  }
  return [...SIZES].filter((name) => Object.hasOwn(fields, name) && !parseSize(fields[name]!));
}

/** The size that A1111 chose for the first pass then: about 512 x 512 pixels, on a grid of 64. */
function firstPassOf({ width, height }: Size): Size {
  const scale = Math.sqrt((512 * 512) / (width * height));
  const onGrid = (side: number): number => Math.ceil((scale * side) / 64) * 64;
  return { width: onGrid(width), height: onGrid(height) };
}

const KINDS: Readonly<Record<UnsupportedKind, string>> = {
  ...{ lora: 'LoRA', lyco: 'LyCORIS', hypernet: 'Hypernetwork' },
  ...{ editing: 'Prompt editing', alternation: 'Alternation', AND: 'AND' },
};

/** Networks and other constructs in the prompts, and the LoRAs whose hashes are written beside them. */
function networksOf(prompts: readonly (string | undefined)[], fields: Texts): UnrestoredSetting[] {
  const found = prompts.flatMap((prompt = '', i) =>
    unsupportedSyntax(prompt, { negative: i % 2 === 1 }).map(({ kind, text }) => ({
      name: KINDS[kind],
      value: text,
    })),
  );
  const written = found.map(({ value }) => value.split(':')[1]?.replace(/>$/, ''));
  const hashed = namesOfHashes(fields['Lora hashes'] ?? '').filter((name) => !written.includes(name));
  const all = [...found, ...hashed.map((value) => ({ name: 'LoRA', value }))];
  return [...new Map(all.map((one) => [`${one.name} ${one.value}`, one])).values()];
}

/** Characters of a value that the warning quotes. */
const QUOTED = 60;

function warningsOf(unrestored: readonly UnrestoredSetting[]): Warning[] {
  if (unrestored.length === 0) return [];
  const shown = (value: string) => (value.length > QUOTED ? `${value.slice(0, QUOTED)}...` : value);
  const list = unrestored.map(({ name, value }) => `${name} (${shown(value)})`).join(', ');
  return [
    { code: 'NOT_RESTORED', message: `The image was made with settings that are not restored: ${list}` },
  ];
}
