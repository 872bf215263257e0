/**
 * Writes the images of docs/vqgan.md with the starter model. The arguments (Noto Emoji, 128 pixels) are shown next to their codes,
 * reconstructions and patch maps; the drawings are defined below. Requires `npm run prepare`.
 *
 *   node scripts/sketch-starter/page.mjs IMAGE.png...
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { VqganPipeline } from '../../dist/index.js';

const SIDE = 96;
const GAP = 6;
const SEEDS = [1, 2, 3, 4];
const folder = new URL('../../docs/images/', import.meta.url);

/** Hand-drawn sketches as SVG paths on a page of 100 × 100. */
const DRAWINGS = {
  face: 'M50 8a42 42 0 1 0 .1 0M35 36v10M65 36v10M30 62q20 22 40 0',
  heart: 'M50 88C10 58 4 34 16 20s30-6 34 10c4-16 22-24 34-10s6 38-34 68',
  house: 'M12 50 50 14l38 36M20 46v42h60V46M42 88V62h16v26',
  fish: 'M10 50q28-38 60-4l20-16v42L70 54q-32 34-60-4M28 44v4M46 32q10 18 0 36',
  mug: 'M16 26h50v56q0 8-8 8H24q-8 0-8-8zM66 38q20-2 20 16T66 70M28 18q-4-6 0-12M42 18q-4-6 0-12',
};

/** @param {string} strokes */
async function drawingOf(strokes) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4 108 108" width="192" height="192"><path d="${strokes}" fill="none" stroke="#111" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
  return sharp(Buffer.from(svg)).flatten({ background: '#fff' }).png().toBuffer();
}

/**
 * Returns an image of code indices with one color per code. Successive codes differ in hue by the golden angle.
 * @param {readonly (readonly number[])[]} codes
 */
function codesImage(codes) {
  const side = SIDE / codes.length;
  const data = new Uint8Array(SIDE * SIDE * 3);
  for (let i = 0; i < SIDE * SIDE; i++) {
    const code = codes[Math.floor(i / SIDE / side)]?.[Math.floor((i % SIDE) / side)] ?? 0;
    const hue = (code * 0.381966) % 1;
    for (let c = 0; c < 3; c++) {
      const wave = Math.cos(2 * Math.PI * (hue - c / 3));
      data[i * 3 + c] = Math.round(150 + 90 * wave - 30 * (code % 2));
    }
  }
  return { data, width: SIDE, height: SIDE };
}

/** @param {import('../../dist/index.js').RgbImage} image */
const bytes = ({ data, width, height }) =>
  sharp(data, { raw: { width, height, channels: 3 } })
    .resize(SIDE, SIDE)
    .png()
    .toBuffer();

/**
 * Writes rows of encoded images on one white sheet.
 * @param {string} name
 * @param {Buffer[][]} rows
 */
async function sheet(name, rows) {
  const columns = Math.max(...rows.map((row) => row.length));
  const place = (/** @type {number} */ n) => n * (SIDE + GAP);
  const layers = rows.flatMap((row, y) => row.map((input, x) => ({ input, left: place(x), top: place(y) })));
  const size = { width: place(columns) - GAP, height: place(rows.length) - GAP };
  const page = sharp({ create: { ...size, channels: 3, background: '#fff' } }).composite(layers);
  const png = await page.png({ palette: true, colours: 200, compressionLevel: 9 }).toBuffer();
  writeFileSync(new URL(name, folder), png);
  console.log(`${fileURLToPath(new URL(name, folder))}  ${png.length} bytes`);
}

const pipeline = await VqganPipeline.load();
const size = { width: SIDE, height: SIDE };
const seen = [];
for (const path of process.argv.slice(2)) {
  const { codes, heatMap, original, reconstruction, psnr, usage } = await pipeline.score(path, size);
  console.log(`${path}: PSNR ${psnr.toFixed(1)} dB, ${usage?.used} codes`);
  seen.push(
    await Promise.all([original, codesImage(codes ?? []), reconstruction, heatMap ?? original].map(bytes)),
  );
}
if (seen.length > 0) await sheet('vqgan-reconstruction.png', seen);

const drawn = [];
for (const strokes of Object.values(DRAWINGS)) {
  const drawing = await drawingOf(strokes);
  const row = [await sharp(drawing).resize(SIDE, SIDE).png().toBuffer()];
  for (const seed of SEEDS) row.push(await bytes((await pipeline.sketch(drawing, { seed }).result).image));
  drawn.push(row);
}
await sheet('vqgan-sketches.png', drawn);

const steps = [];
const drawing = await drawingOf(DRAWINGS.face);
for await (const { done, preview } of pipeline.sketch(drawing, { seed: SEEDS[0] })) {
  if (done % 24 === 0) steps.push(await bytes(await preview()));
}
await sheet('vqgan-steps.png', [steps]);
await pipeline.dispose();
