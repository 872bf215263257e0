/**
 * Writes the image of docs/latent-vs-pixels.md and prints the seconds of both models. LATENTS and PIXELS are the folders that
 * train.py wrote. The first row shows the latent model, the second the pixel model, with one seed per column. Requires
 * `npm run prepare`.
 *
 *   node scripts/latent-vs-pixels/page.mjs LATENTS PIXELS
 */
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { Pipeline } from '../../dist/index.js';

const SIDE = 96;
const GAP = 6;
const COUNT = 8;

/**
 * @param {string} path
 * @param {string} name
 */
async function generate(path, name) {
  const pipeline = await Pipeline.load(path);
  /** @type {Buffer[]} */
  const encoded = [];
  /** @type {number[]} */
  const times = [];
  for (let seed = 0; seed < COUNT; seed++) {
    const { images, seconds } = await pipeline.generate({ seed, steps: 50, sampler: 'ddim' });
    times.push(seconds);
    for (const { data, width, height } of images)
      encoded.push(
        await sharp(data, { raw: { width, height, channels: 3 } })
          .png()
          .toBuffer(),
      );
  }
  await pipeline.dispose();
  times.sort((a, b) => a - b);
  console.log(`${name}: ${times[COUNT >> 1]?.toFixed(2)} s per image (median of ${COUNT})`);
  return encoded;
}

const [latents, pixels] = process.argv.slice(2);
if (!latents || !pixels) {
  console.error('usage: page.mjs LATENTS PIXELS');
  process.exit(2);
}
const place = (/** @type {number} */ n) => n * (SIDE + GAP);
const rows = [await generate(latents, 'latents'), await generate(pixels, 'pixels')];
const layers = rows.flatMap((row, y) => row.map((input, x) => ({ input, left: place(x), top: place(y) })));
const size = { width: place(COUNT) - GAP, height: place(2) - GAP };
const out = fileURLToPath(new URL('../../docs/images/latent-vs-pixels.png', import.meta.url));
await sharp({ create: { ...size, channels: 3, background: '#fff' } })
  .composite(layers)
  .png({ palette: true, colours: 200, compressionLevel: 9 })
  .toFile(out);
console.log(out);
