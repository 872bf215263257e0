// @ts-check
// Generates one image per prompt of a file: node generate.mjs PROMPTS [FOLDER]
// PROMPTS is a text file with one prompt per line, or a CSV file with a header: the column prompt is required, and negative,
// seed, steps, width and height are optional. Images that already exist in FOLDER are skipped, so a run that was cancelled
// by Ctrl-C or failed continues where it stopped. Each file is written as a whole or not at all.
import { access, mkdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { Pipeline, SafelightError } from 'safelight';
import { parseCsv } from './csv.mjs';

const [file, folder = 'images'] = process.argv.slice(2);
if (!file) {
  console.error('usage: node generate.mjs PROMPTS.txt|PROMPTS.csv [FOLDER]');
  process.exit(2);
}

// The first Ctrl-C cancels the current image and ends the run; a second one kills the process.
const controller = new AbortController();
process.once('SIGINT', () => controller.abort());

const text = await readFile(file, 'utf8');
const rows = extname(file).toLowerCase() === '.csv' ? parseCsv(text) : parseLines(text);
await mkdir(folder, { recursive: true });

const pipeline = await Pipeline.load();
let generated = 0;
let failed = 0;
try {
  for (const [index, row] of rows.entries()) {
    const path = join(folder, fileName(index, row.prompt ?? ''));
    if (await exists(path)) continue;
    try {
      const { images } = await pipeline.generate({ ...optionsOf(row, index), signal: controller.signal });
      for (const image of images) await image.save(path, { overwrite: true });
      generated++;
      console.log(path);
    } catch (error) {
      // A row with an invalid option does not stop the others.
      if (!(error instanceof SafelightError) || error.code !== 'INVALID_OPTION') throw error;
      failed++;
      console.error(`row ${index + 1}: ${error.message}`);
    }
  }
} catch (error) {
  if (!controller.signal.aborted) throw error;
  console.error('Cancelled. Run the same command again to continue.');
} finally {
  await pipeline.dispose();
}
console.error(`${generated} generated, ${failed} failed, of ${rows.length}`);
if (controller.signal.aborted) process.exitCode = 130;
else if (failed > 0) process.exitCode = 1;

/** @param {string} lines @returns {Record<string, string>[]} */
function parseLines(lines) {
  return lines
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .map((prompt) => ({ prompt }));
}

/**
 * Options of a row. Without a seed, the row number is the seed: the same file then yields the same images.
 * @param {Record<string, string>} row
 * @param {number} index
 */
function optionsOf(row, index) {
  /** @type {import('safelight').GenerateOptions} */
  const options = { prompt: row.prompt ?? '', seed: index };
  if (row.negative) Object.assign(options, { negative: row.negative });
  for (const name of ['seed', 'steps', 'width', 'height']) {
    if (row[name]) Object.assign(options, { [name]: Number(row[name]) });
  }
  return options;
}

/** @param {number} index @param {string} prompt such as `0001-a-red-apple.png` for the first row */
function fileName(index, prompt) {
  const words = prompt
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 40);
  return `${String(index + 1).padStart(4, '0')}-${words}.png`;
}

/** @param {string} path */
function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}
