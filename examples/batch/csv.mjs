// @ts-check
/**
 * Parses CSV as RFC 4180 defines it: fields in double quotes may contain commas, line breaks and doubled quotes.
 * @param {string} text the first line is the header
 * @returns {Record<string, string>[]} one object per row, without empty rows
 */
export function parseCsv(text) {
  /** @type {string[][]} */
  const rows = [[]];
  const field = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r?\n|$)/gy;
  for (let end = ','; end !== ''; ) {
    const match = field.exec(text);
    if (!match) throw new Error(`Row ${rows.length} of the CSV file has a misplaced double quote`);
    const [, raw = ''] = match;
    rows.at(-1)?.push(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw);
    end = match[2] ?? '';
    if (end !== ',') rows.push([]);
  }
  const [header = [], ...data] = rows.filter((row) => row.some((value) => value !== ''));
  return data.map((row) => Object.fromEntries(header.map((name, i) => [name.trim(), row[i] ?? ''])));
}
