/**
 * The public API, as reports of API Extractor in `api/`. A change of an exported declaration fails here and shows the
 * difference; `npm run api:accept` writes an intended one.
 */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { apiReports, entryNames } from '../../scripts/api-report.mjs';

const reports = apiReports();

it.each(entryNames)('keeps the public API of %s', async (name) => {
  const file = fileURLToPath(new URL(`./api/${name}.api.md`, import.meta.url));
  const message = `The public API differs from test/package/api/${name}.api.md; if the change is intended, run \`npm run api:accept\` and commit the file`;
  await expect(reports[name], message).toMatchFileSnapshot(file);
});
