/**
 * The PNG text chunk `safelight`: exact options as JSON, in addition to A1111's generation parameters, which are
 * ambiguous for some prompts and cannot store all options. Options at their default are omitted, except those whose
 * default depends on the model.
 *
 *     {"version":1,"model":"starter","options":{"prompt":"an apple","seed":1,"width":64,"height":64,"steps":20, ...}}
 */
import { type GenerationOptions, generationFields } from './declarations/generation.js';
import { defaultOf, entriesOf, type Fields, isSerializable } from './field.js';
import { fromJson, type Json, toJson } from './json.js';

/** Keyword of the text chunk in a PNG. */
export const EXACT_KEY = 'safelight';
/** Incremented when readers of an older version would generate a different image from the same text. */
const VERSION = 1;
/** Longest text that is parsed, in characters: twice the size of the longest prompts, escaped. */
const MAX_TEXT = 2 ** 21;

export interface ExactText {
  readonly model: string | undefined;
  readonly options: GenerationOptions;
  /** Options unknown to this version, with their values as JSON. */
  readonly unknown: readonly { readonly name: string; readonly value: string }[];
}

/**
 * Formats the text chunk of an image.
 * @param options as returned by `imageOptions`
 * @param unwritten names of options that the text cannot store; readers report them as unknown
 */
export function formatExact(
  model: string,
  options: GenerationOptions,
  unwritten: readonly string[] = [],
): string {
  return JSON.stringify({
    version: VERSION,
    model,
    options: {
      ...withoutDefaults(generationFields, toJson(options)),
      ...(unwritten.length > 0 ? { unwritten } : {}),
    },
  });
}

function withoutDefaults(fields: Fields, json: Readonly<Record<string, Json>>): Record<string, Json> {
  const entries = entriesOf(fields).flatMap(([name, field]): [string, Json][] => {
    const value = json[name];
    if (value === undefined || !isSerializable(field)) return [];
    if (field.kind === 'object' && isJsonObject(value)) return [[name, withoutDefaults(field.fields, value)]];
    const fallback = defaultOf(field);
    return value === fallback ? [] : [[name, value]];
  });
  return Object.fromEntries(entries);
}

/** Parses the text chunk. Returns undefined for malformed text, another version or invalid values; never throws. */
export function parseExact(text: unknown): ExactText | undefined {
  if (typeof text !== 'string' || text.length > MAX_TEXT) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isRecord(parsed) || parsed.version !== VERSION || !isRecord(parsed.options)) return undefined;
    const entries = Object.entries(parsed.options);
    const fields: Fields = generationFields;
    const known = entries.filter(([name]) => Object.hasOwn(fields, name) && isSerializable(fields[name]!));
    return {
      model: typeof parsed.model === 'string' ? parsed.model : undefined,
      options: fromJson(generationFields, Object.fromEntries(known)),
      unknown: entries
        .filter((entry) => !known.includes(entry))
        .map(([name, value]) => ({ name, value: JSON.stringify(value) })),
    };
  } catch {
    return undefined;
  }
}

function isJsonObject(value: Json): value is Readonly<Record<string, Json>> {
  return isRecord(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
