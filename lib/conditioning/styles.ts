/**
 * Prompt styles, A1111's named prompt fragments, and their CSV format with the columns `name`, `prompt` and
 * `negative_prompt`. The functions map strings to strings, so that the web page applies styles by the same
 * rules as the server.
 */
import { SafelightError } from '../errors.js';
import { nearest } from '../suggest.js';

export interface Style {
  readonly name: string;
  readonly prompt: string;
  readonly negative_prompt: string;
}

const BOM = '\uFEFF';
const COLUMNS = ['name', 'prompt', 'negative_prompt'] as const;

/**
 * Applies style texts in turn: the prompt replaces `{prompt}`; a text without that placeholder is appended
 * after a comma.
 */
export function styled(prompt: string, texts: readonly string[]): string {
  return texts.reduce(
    (before, text) =>
      text.includes('{prompt}')
        ? text.replaceAll('{prompt}', () => before)
        : [before, text]
            .map((part) => part.trim())
            .filter(Boolean)
            .join(', '),
    prompt,
  );
}

/** Parses the styles of a CSV. Rows without a name, such as A1111's dividers, are skipped. Never throws. */
export function parseStyles(csv: string): Style[] {
  const { head, rows } = parseTable(csv);
  const at = columnsOf(head);
  return rows.flatMap((row) => {
    const name = row[at.name]?.trim();
    if (!name) return [];
    return [{ name, prompt: row[at.prompt] ?? '', negative_prompt: row[at.negative_prompt] ?? '' }];
  });
}

/**
 * Returns the styles with these names, in the order of the names. Empty names and A1111's `None` are skipped.
 * @param file path that the styles were read from, for the message
 * @throws INVALID_OPTION for an unknown name, with a similar one
 */
export function stylesNamed(
  styles: readonly Style[],
  names: readonly string[],
  file = 'the styles file',
): Style[] {
  const byName = new Map<string, Style>();
  for (const style of styles) if (!byName.has(style.name)) byName.set(style.name, style);
  return names
    .filter((name) => name !== '' && name !== 'None')
    .map((name) => {
      const style = byName.get(name);
      if (style) return style;
      const similar = nearest(name, [...byName.keys()]);
      throw new SafelightError(
        'INVALID_OPTION',
        `No style is named ${JSON.stringify(name.slice(0, 100))} in ${file}, which has ${byName.size} styles; ${similar === undefined ? 'correct the name or add the style' : `did you mean ${JSON.stringify(similar)}?`}`,
      );
    });
}

/**
 * Returns the CSV with the style added, or replaced if its name exists. Other rows and additional columns are
 * preserved.
 */
export function withStyle(csv: string, style: Style): string {
  const { head, rows } = parseTable(csv);
  const columns = head.length > 0 ? [...head] : [...COLUMNS];
  const known = columnsOf(columns);
  for (const column of COLUMNS) if (known[column] < 0) columns.push(column);
  const at = columnsOf(columns);
  const index = rows.findIndex((row) => row[at.name]?.trim() === style.name);
  const row = columns.map((_, i) => rows[index]?.[i] ?? '');
  for (const column of COLUMNS) row[at[column]] = style[column];
  return formatTable([columns, ...(index < 0 ? [...rows, row] : rows.with(index, row))]);
}

/** Returns the CSV without the styles of this name. */
export function withoutStyle(csv: string, name: string): string {
  const { head, rows } = parseTable(csv);
  const at = columnsOf(head);
  return formatTable([head, ...rows.filter((row) => row[at.name]?.trim() !== name)]);
}

/** Returns the column indices, -1 for missing columns. Old files name the prompt column `text`. */
function columnsOf(head: readonly string[]): Record<(typeof COLUMNS)[number], number> {
  const prompt = head.indexOf('prompt');
  return {
    name: head.indexOf('name'),
    prompt: prompt < 0 ? head.indexOf('text') : prompt,
    negative_prompt: head.indexOf('negative_prompt'),
  };
}

function parseTable(csv: string): { readonly head: string[]; readonly rows: string[][] } {
  const [head = [], ...rows] = csvRows(csv.startsWith(BOM) ? csv.slice(1) : csv);
  return { head, rows };
}

/** Parses comma-separated values; quoted values may contain commas, line breaks and doubled quotes. */
function csvRows(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  // Matches a quoted or plain value and its terminator: a comma, a line break or the end of the text.
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    row.push(quoted?.replaceAll('""', '"') ?? plain ?? '');
    if (end === ',') continue;
    if (row.some((value) => value !== '')) rows.push(row);
    row = [];
  }
  return rows;
}

/** Formats rows with a byte order mark and CRLF, as A1111 does. */
function formatTable(rows: readonly (readonly string[])[]): string {
  const quoted = (value: string): string =>
    /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  return `${BOM}${rows.map((row) => `${row.map(quoted).join(',')}\r\n`).join('')}`;
}
