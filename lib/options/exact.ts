/**
 * The PNG text `safelight`: exact options as JSON, beside A1111's generation parameters, which are ambiguous for some prompts and cannot
 * hold everything. Options at their default are left out, except those whose default is the model's.
 *
 *     {"version":1,"model":"starter","options":{"prompt":"an apple","seed":1,"width":64,"height":64,"steps":20, ...}}
 */
import { type GenerationOptions, generationFields } from './declarations/generation.js';
import { defaultOf, entriesOf, type Fields, travels } from './field.js';
import { fromJson, type Json, toJson } from './json.js';

/** Key of the text in a PNG. */
export const EXACT = 'safelight';
/** Raised when a reader of this version would make another image of what is written. */
const VERSION = 1;
/** Characters that are parsed: twice the longest prompts, escaped. */
const MAX_TEXT = 2 ** 21;

export interface ExactText {
  readonly model: string | undefined;
  readonly options: GenerationOptions;
  /** Options that this version does not know, with their values as JSON. */
  readonly unknown: readonly { readonly name: string; readonly value: string }[];
}

/** @param options as `imageOptions` gives them */
export function formatExact(model: string, options: GenerationOptions): string {
  return JSON.stringify({
    version: VERSION,
    model,
    options: withoutDefaults(generationFields, toJson(options)),
  });
}

function withoutDefaults(fields: Fields, json: Readonly<Record<string, Json>>): Record<string, Json> {
  const kept = entriesOf(fields).flatMap(([name, field]): [string, Json][] => {
    const value = json[name];
    if (value === undefined || !travels(field)) return [];
    if (field.kind === 'object' && isJsonObject(value)) return [[name, withoutDefaults(field.fields, value)]];
    const fallback = defaultOf(field);
    return value === fallback ? [] : [[name, value]];
  });
  return Object.fromEntries(kept);
}

/** Undefined for a text that is none, is of a later version, or has values that are not right. Never throws. */
export function parseExact(text: unknown): ExactText | undefined {
  if (typeof text !== 'string' || text.length > MAX_TEXT) return undefined;
  try {
    const read: unknown = JSON.parse(text);
    if (!isRecord(read) || read.version !== VERSION || !isRecord(read.options)) return undefined;
    const names = Object.entries(read.options);
    const fields: Fields = generationFields;
    const known = names.filter(([name]) => Object.hasOwn(fields, name) && travels(fields[name]!));
    return {
      model: typeof read.model === 'string' ? read.model : undefined,
      options: fromJson(generationFields, Object.fromEntries(known)),
      unknown: names
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
