/** Options of an image that the form has no controls for: carried along with it, shown, and sent with the next job. */
import { commonFields, generationFields } from '../../../lib/options/declarations/generation.js';
import { hiresFields } from '../../../lib/options/declarations/hires.js';
import { maskFields } from '../../../lib/options/declarations/mask.js';
import { sourceFields } from '../../../lib/options/declarations/source.js';
import { entriesOf, type Field, type Fields } from '../../../lib/options/field.js';
import { textOf } from '../../../lib/options/infotext/values.js';
import { fromJson, type Json } from '../../../lib/options/json.js';

export type Further = Readonly<Record<string, Json>>;

/** Both; options of one object (`hires`) lie beside each other. */
export function joined(a: Further, b: Further): Further {
  const all: Record<string, Json> = { ...a };
  for (const [name, value] of Object.entries(b)) {
    const before = all[name];
    all[name] = isObject(before) && isObject(value) ? { ...before, ...value } : value;
  }
  return all;
}

/** Applies patches in turn. */
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

/** Those that a job of this mode has; the second pass's only where the form has one. */
export function furtherOf(form: {
  readonly further: Further;
  readonly mode: string;
  readonly hires: boolean;
}): Further {
  const { further, mode, hires } = form;
  const fields = FIELDS[mode] ?? {};
  return Object.fromEntries(
    Object.entries(further).filter(([name]) => Object.hasOwn(fields, name) && (name !== 'hires' || hires)),
  );
}

export interface FurtherEntry {
  readonly name: string;
  readonly label: string;
  readonly value: string;
}

/** For showing: each option by the name of its field in generation parameters, else by its own. */
export function entriesOfFurther(further: Further): FurtherEntry[] {
  const options: Readonly<Record<string, unknown>> = checked(further);
  return entriesOf(generationFields).flatMap(([name, field]): FurtherEntry[] => {
    const value = options[name];
    if (value === undefined) return [];
    const label = labelOf(name, field);
    if (field.kind !== 'object') return [{ name, label, value: textOf(field, value) }];
    const inner = entriesOf(field.fields).flatMap(([own, one]) => {
      const given = (value as Readonly<Record<string, unknown>>)[own];
      return given === undefined ? [] : [`${own} ${textOf(one, given)}`];
    });
    return [{ name, label, value: inner.join(', ') }];
  });
}

function labelOf(name: string, field: Field): string {
  return (field.kind === 'object' ? undefined : field.infotext?.label) ?? name;
}

/** Kept by an earlier version, some may not be right any more: then none is. */
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
