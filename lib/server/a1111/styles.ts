/** A1111's styles: `styles.csv` in the data folder, with the columns name, prompt and negative_prompt, as A1111 writes it. */
import { readFile } from 'node:fs/promises';
import { failure } from './failures.js';

export interface Style {
  readonly name: string;
  readonly prompt: string;
  readonly negative_prompt: string;
}

/** Those of a file, which may have been changed since the last time; none where there is no file. */
export async function readStyles(path: string): Promise<Style[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const [head = [], ...rows] = csvRows(text.replace(/^\uFEFF/, ''));
  const [name, prompt, alsoPrompt, negative] = ['name', 'prompt', 'text', 'negative_prompt'].map((column) =>
    head.indexOf(column),
  ) as [number, number, number, number];
  return rows.flatMap((row) => {
    const called = row[name]?.trim();
    if (!called) return [];
    const own = { prompt: row[prompt] ?? row[alsoPrompt] ?? '', negative_prompt: row[negative] ?? '' };
    return [{ name: called, ...own }];
  });
}

/** The styles of these names. @throws 422 for a name that there is not */
export function stylesNamed(all: readonly Style[], names: readonly string[]): Style[] {
  return names
    .filter((name) => name !== '' && name !== 'None')
    .map((name) => {
      const found = all.find((style) => style.name === name);
      if (found) return found;
      throw failure(
        422,
        `styles: there is no style ${JSON.stringify(name.slice(0, 100))}; they are read from styles.csv in the data folder`,
      );
    });
}

/** Each style's text takes the prompt in at `{prompt}`, or follows it. */
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

/** Rows of comma-separated values; quoted ones may hold commas, line breaks and doubled quotes. */
function csvRows(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  // A value, quoted or plain, and what ends it: a comma, a line break, or the end of the text.
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    row.push(quoted?.replaceAll('""', '"') ?? plain ?? '');
    if (end === ',') continue;
    if (row.some((value) => value !== '')) rows.push(row);
    row = [];
  }
  return rows;
}
