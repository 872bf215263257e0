/** Values of options as generation parameters spell them. */
import type { ChoiceField, Field } from '../field.js';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** @param value one that has passed the check */
export function textOf(field: Field, value: unknown): string {
  switch (field.kind) {
    case 'boolean':
      return (field.words ?? WORDS)[value ? 1 : 0];
    case 'choice':
      return field.labels?.[String(value)] ?? String(value);
    case 'interval':
      return Array.isArray(value) ? value.join(' to ') : String(value);
    case 'pair': {
      const [x, y]: readonly unknown[] = Array.isArray(value) ? value : [value, value];
      return x === y ? String(x) : `${x}/${y}`;
    }
    case 'size':
      return formatSize(value as Size);
    default:
      return String(value);
  }
}

const WORDS = ['False', 'True'] as const;

export function formatSize({ width, height }: Size): string {
  return `${width}x${height}`;
}

export function parseSize(text: string): Size | undefined {
  const [, width, height] = /^(\d{1,5})\s*x\s*(\d{1,5})$/.exec(text.trim()) ?? [];
  return width && height ? { width: Number(width), height: Number(height) } : undefined;
}

/**
 * The value of a text; undefined where it cannot be read, null where it stands for the default. Ranges are checked by whoever uses the
 * value.
 */
export function parseValue(field: Field, text: string): unknown {
  switch (field.kind) {
    case 'number':
      return numberOf(text);
    case 'integer': {
      const value = numberOf(text);
      return field.zeroIsNone && value === 0 ? null : value;
    }
    case 'seed': {
      // A number that cannot be held to the last digit would be another seed.
      const value = numberOf(text);
      return Number.isSafeInteger(value) && Number(value) >= 0 ? value : undefined;
    }
    case 'boolean': {
      const found = (field.words ?? WORDS).indexOf(text.trim());
      return found < 0 ? undefined : Boolean(found) === field.default ? null : Boolean(found);
    }
    case 'choice':
      return choiceOf(field, text);
    case 'text':
      return text;
    case 'interval': {
      const sides = text.split(' to ').map(numberOf);
      return sides.length === 2 && !sides.includes(undefined) ? sides : undefined;
    }
    case 'pair': {
      const sides = text.split('/').map(numberOf);
      if (sides.length > 2 || sides.includes(undefined)) return undefined;
      return sides.length === 1 ? sides[0] : sides;
    }
    case 'size':
      // Sides of 0 or less are none.
      if (/^(-\d+|0+)\s*x|x\s*(-\d+|0+)$/.test(text.trim())) return null;
      return parseSize(text);
    default:
      return undefined;
  }
}

function numberOf(text: string): number | undefined {
  const value = Number(text);
  return text.trim() === '' || Number.isNaN(value) ? undefined : value;
}

/** The value of a label, in any case. */
export function choiceOf<V extends string>(field: ChoiceField<V>, text: string): V | undefined {
  const wanted = text.trim();
  const same = (label: string): boolean => label.toLowerCase() === wanted.toLowerCase();
  const found = field.values.find((value) => same(field.labels?.[value] ?? value));
  const other = Object.entries(field.otherLabels ?? {}).find(([label]) => label === wanted);
  return found ?? (other?.[1] as V | undefined) ?? field.otherwise;
}
