/**
 * Options restored from an image for which the form has no controls. They are shown in the form and sent with the
 * next job.
 */
import { commonFields, generationFields } from '../../../lib/options/declarations/generation.js';
import { hiresFields } from '../../../lib/options/declarations/hires.js';
import { maskFields } from '../../../lib/options/declarations/mask.js';
import { sourceFields } from '../../../lib/options/declarations/source.js';
import { entriesOf, type Field, type Fields } from '../../../lib/options/field.js';
import { textOf } from '../../../lib/options/infotext/values.js';
import { fromJson, type Json } from '../../../lib/options/json.js';

export type Further = Readonly<Record<string, Json>>;

/** Merges two sets of options; those of the object `hires` are merged too. */
export function joined(a: Further, b: Further): Further {
  const all: Record<string, Json> = { ...a };
  for (const [name, value] of Object.entries(b)) {
    const before = all[name];
    all[name] = isObject(before) && isObject(value) ? { ...before, ...value } : value;
  }
  return all;
}

/** Merges form patches in order, including their additional options. */
export function patched<P extends { readonly further?: Further }>(patches: readonly P[]): P {
  const further = patches.map((patch) => patch.further ?? {}).reduce(joined, {});
  const all: P = Object.assign({}, ...patches);
  return Object.keys(further).length > 0 ? { ...all, further } : all;
}

const FIELDS: Readonly<Record<string, Fields>> = {
  text: { ...commonFields, ...hiresFields },
  picture: { ...commonFields, ...sourceFields },
  inpaint: { ...commonFields, ...sourceFields, ...maskFields },
};

/** Returns the declarations of the options of jobs of a mode of the form. */
export function optionFieldsOf(mode: string): Fields {
  return FIELDS[mode] ?? {};
}

/** Returns the options that apply to jobs of the form's mode; those of the second pass only if it is enabled. */
export function furtherOf(form: {
  readonly further: Further;
  readonly mode: string;
  readonly hires: boolean;
}): Further {
  const { further, mode, hires } = form;
  const fields = optionFieldsOf(mode);
  return Object.fromEntries(
    Object.entries(further).filter(([name]) => Object.hasOwn(fields, name) && (name !== 'hires' || hires)),
  );
}

export interface FurtherEntry {
  readonly name: string;
  readonly label: string;
  readonly value: string;
}

/** Returns the options for display, labeled with their names in generation parameters, or else their own names. */
export function entriesOfFurther(further: Further): FurtherEntry[] {
  const options: Readonly<Record<string, unknown>> = checked(further);
  return entriesOf(generationFields).flatMap(([name, field]): FurtherEntry[] => {
    const value = options[name];
    if (value === undefined) return [];
    const label = labelOf(name, field);
    if (field.kind !== 'object') return [{ name, label, value: textOf(field, value) }];
    const texts = entriesOf(field.fields).flatMap(([key, nested]) => {
      const nestedValue = (value as Readonly<Record<string, unknown>>)[key];
      return nestedValue === undefined ? [] : [`${key} ${textOf(nested, nestedValue)}`];
    });
    return [{ name, label, value: texts.join(', ') }];
  });
}

function labelOf(name: string, field: Field): string {
  return (field.kind === 'object' ? undefined : field.infotext?.label) ?? name;
}

/** Returns stored options if all are still valid, else none; they may come from an earlier version. */
export function checked(further: unknown): Further {
  try {
    fromJson(generationFields, further);
    return further as Further;
  } catch {
    return {};
  }
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
