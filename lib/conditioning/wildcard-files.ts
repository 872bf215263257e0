/** Files with entries of wildcards: text with an entry per line, and YAML or JSON with lists by name. */
import { SafelightError } from '../errors.js';
import { readText } from '../files/read.js';
import type { WildcardEntry } from './dynamic-prompts.js';

/** Entries by name below the file's own folder; the empty name is the name of the file itself. */
export type WildcardLists = ReadonlyMap<string, readonly WildcardEntry[]>;

/** Maximum sizes in bytes. */
const MAX_TEXT = 16 * 1024 * 1024;
const MAX_YAML = 4 * 1024 * 1024;
const MAX_ALIASES = 100;
const MAX_DEPTH = 32;

const BOM = '\uFEFF';
const WEIGHTED = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*::/;

export const TEXT_EXTENSION = '.txt';
export const YAML_EXTENSIONS: readonly string[] = ['.yaml', '.yml', '.json'];

/**
 * Reads a text file: an entry per line, without empty lines and lines that begin with `#`. Repeated lines count once.
 * @throws FILE_NOT_FOUND, INVALID_FILE for a file above 16 MB or in another encoding than UTF-8
 */
export async function readTextWildcard(path: string): Promise<WildcardLists> {
  const text = withoutMark(await readText(path, MAX_TEXT));
  const lines = text.split(/\r\n|\n|\r/).map((line) => line.trim());
  const entries = lines.filter((line) => line !== '' && !line.startsWith('#'));
  return new Map([['', [...new Set(entries)].map((entry) => ({ text: entry, weight: 1 }))]]);
}

/**
 * Reads a YAML or JSON file. A mapping names its lists by their keys, joined by `/`; a list at the root has the name
 * of the file. Entries are texts, `2::text` with a weight, or mappings of `text` and `weight`. Other values are
 * ignored.
 * @throws FILE_NOT_FOUND, INVALID_FILE for a file above 4 MB or that is not valid YAML
 */
export async function readYamlWildcards(path: string): Promise<WildcardLists> {
  const text = withoutMark(await readText(path, MAX_YAML));
  const lists = new Map<string, WildcardEntry[]>();
  collect(await parsed(text, path), [], lists);
  return lists;
}

function withoutMark(text: string): string {
  return text.startsWith(BOM) ? text.slice(1) : text;
}

async function parsed(text: string, path: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  try {
    const document = parseDocument(text, { logLevel: 'silent' });
    const [error] = document.errors;
    if (error) throw error;
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    const [reason = ''] = error instanceof Error ? error.message.split('\n') : [];
    throw new SafelightError(
      'INVALID_FILE',
      `${path} is not valid YAML: ${reason.slice(0, 200)}; correct it`,
      {
        cause: error,
      },
    );
  }
}

function collect(value: unknown, path: readonly string[], lists: Map<string, WildcardEntry[]>): void {
  if (Array.isArray(value)) {
    const name = path.join('/');
    const entries = value.map(entryOf).filter((entry) => entry !== undefined);
    lists.set(name, [...(lists.get(name) ?? []), ...entries]);
  } else if (typeof value === 'object' && value !== null && path.length < MAX_DEPTH) {
    for (const [key, child] of Object.entries(value)) collect(child, [...path, key.trim()], lists);
  }
}

function entryOf(item: unknown): WildcardEntry | undefined {
  if (typeof item === 'number') return { text: String(item), weight: 1 };
  if (typeof item === 'string') {
    const [prefix = '', weight] = WEIGHTED.exec(item) ?? [];
    return withWeight(item.slice(prefix.length), weight === undefined ? 1 : Number(weight));
  }
  if (typeof item !== 'object' || item === null) return undefined;
  const { text, content, weight = 1 } = item as Readonly<Record<string, unknown>>;
  const own = typeof text === 'string' ? text : content;
  return typeof own === 'string' ? withWeight(own, Number(weight)) : undefined;
}

function withWeight(text: string, weight: number): WildcardEntry | undefined {
  const trimmed = text.trim();
  return trimmed !== '' && weight >= 0 && weight <= 1e6 ? { text: trimmed, weight } : undefined;
}
