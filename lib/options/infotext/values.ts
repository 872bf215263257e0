/** Formatting and parsing of option values in generation parameters. */
import type { ChoiceField, Field } from '../field.js';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Formats a value. @param value a validated value of the option */
export function textOf(field: Field, value: unknown): string {
  switch (field.kind) {
    case 'boolean':
      return (field.words ?? WORDS)[value ? 1 : 0];
    case 'choice':
      return field.labels?.[String(value)] ?? field.labelOfFile?.(String(value)) ?? String(value);
    case 'interval':
      return Array.isArray(value) ? value.join(' to ') : String(value);
    case 'numbers':
    case 'descending':
      return Array.isArray(value) ? value.join(' ') : String(value);
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
 * Parses a value. Returns undefined if the text cannot be parsed, null if it stands for the default. Does not check
 * ranges.
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
      // An integer beyond 2^53 would be rounded to another seed.
      const value = numberOf(text);
      return Number.isSafeInteger(value) && Number(value) >= 0 ? value : undefined;
    }
    case 'boolean': {
      const index = (field.words ?? WORDS).indexOf(text.trim());
      return index < 0 ? undefined : Boolean(index) === field.default ? null : Boolean(index);
    }
    case 'choice':
      // Any other text is the name of a file, which may not be available here.
      return (
        choiceOf(field, text) ?? (field.orFile === undefined || text.trim() === '' ? undefined : text.trim())
      );
    case 'text':
      return text;
    case 'interval': {
      const sides = text.split(' to ').map(numberOf);
      return sides.length === 2 && !sides.includes(undefined) ? sides : undefined;
    }
    case 'numbers':
    case 'descending': {
      const values = text.trim().split(/\s+/).map(numberOf);
      return values.includes(undefined) ? undefined : values;
    }
    case 'pair': {
      const sides = text.split('/').map(numberOf);
      if (sides.length > 2 || sides.includes(undefined)) return undefined;
      return sides.length === 1 ? sides[0] : sides;
    }
    case 'size':
      // A side of 0 or less means that no size is set.
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

/** Returns the value of a label, compared case-insensitively. */
export function choiceOf<V extends string>(field: ChoiceField<V>, text: string): V | undefined {
  const wanted = text.trim();
  const same = (label: string): boolean => label.toLowerCase() === wanted.toLowerCase();
  const match = field.values.find((value) => same(field.labels?.[value] ?? value));
  const other = Object.entries(field.otherLabels ?? {}).find(([label]) => label === wanted);
  return match ?? (other?.[1] as V | undefined) ?? field.otherwise;
}
