/** Lookup of LoRAs by the names in tags, as the server does, and the search of the browser. */
import type { Adapters, Lora } from '../api/adapters.js';

/** Names under which tags find a LoRA, in order of precedence. */
const SPELLINGS: readonly ((lora: Lora) => string | undefined)[] = [
  ({ name }) => name,
  ({ file }) => file.replace(/\.[^./]+$/, ''),
  ({ alias }) => alias,
];

/** Finds a LoRA by the name in a tag: an exact match, else one that differs in case. */
export function loraNamed(loras: readonly Lora[], name: string): Lora | undefined {
  const exact = loras.find((lora) => SPELLINGS.some((spelling) => spelling(lora) === name));
  if (exact) return exact;
  const lower = name.toLowerCase();
  for (const spelling of SPELLINGS) {
    const found = loras.find((lora) => spelling(lora)?.toLowerCase() === lower);
    if (found) return found;
  }
  return undefined;
}

/**
 * Returns the shortest name under which a tag finds this LoRA and no other; undefined if every name contains a character
 * that ends a tag or its name.
 */
export function tagNameOf(loras: readonly Lora[], lora: Lora): string | undefined {
  const names = SPELLINGS.flatMap((spelling) => spelling(lora) ?? []);
  return names.find((name) => !/[:>]/.test(name) && loraNamed(loras, name) === lora);
}

/** Returns true if all words of a query occur in the names and words of an adapter, in any case and order. */
export function matchesQuery(texts: readonly (string | null | undefined)[], query: string): boolean {
  const text = normalize(texts.filter((one) => one).join('\n'));
  return normalize(query)
    .split(/\s+/)
    .every((word) => text.includes(word));
}

export function searchLoras({ loras }: Pick<Adapters, 'loras'>, query: string): Lora[] {
  return loras.filter(({ name, alias, file, triggerWords, baseModel, family }) =>
    matchesQuery([name, alias, file, baseModel, family, ...triggerWords], query),
  );
}

/** Returns false if both families are known and differ. */
export function fitsFamily(family: string | null, model: string | undefined): boolean {
  return family === null || model === undefined || family === model;
}

/** Formats a family for display, such as `SDXL REFINER`. */
export function familyLabel(family: string): string {
  return family.replaceAll('_', ' ').toUpperCase();
}

function normalize(text: string): string {
  return text.normalize('NFKC').toLowerCase().trim();
}
