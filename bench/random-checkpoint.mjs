// @ts-check
/**
 * Writes a single-file checkpoint of a real model's size with random f16 weights, to measure time and memory without trained
 * weights. Names and shapes come from test/fixtures/weights/names.json.gz. For VQGAN and latent diffusion models they come
 * from published.mjs, and the YAML config is written next to the checkpoint.
 *
 *   node bench/random-checkpoint.mjs sd1|sd2|sdxl|vqgan-f16-16384|vq-f4|kl-f32|taming-24|cin256-v2... OUT.safetensors
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { published, publishedNames } from './published.mjs';
import { writeRandom } from './random-weights.mjs';

const [family = '', out = ''] = process.argv.slice(2);
const known = JSON.parse(
  gunzipSync(readFileSync(new URL('../test/fixtures/weights/names.json.gz', import.meta.url))).toString(),
);
if (!(family in known || publishedNames.includes(family)) || !out) {
  const families = [...Object.keys(known), ...publishedNames];
  console.error(`usage: random-checkpoint.mjs ${families.join('|')} OUT.safetensors`);
  process.exit(2);
}

/** @type {Map<string, number[]>} */
const shapes = family in known ? modelShapes(known[family]) : publishedShapes();

writeRandom(shapes, out);

/** @param {{ text_encoders: any[], unet: any, vae: any }} model */
function modelShapes({ text_encoders, unet, vae }) {
  const found = new Map();
  for (const { rows } of [...text_encoders, unet, vae])
    for (const [, , source, shape] of rows) found.set(source, shape);
  return found;
}

function publishedShapes() {
  const { shapes, yaml } = published(family);
  writeFileSync(out.replace(/\.safetensors$/, '.yaml'), JSON.stringify(yaml));
  return shapes;
}
