// @ts-check
/**
 * Compares one U-Net step on the pixels of a 512 × 512 image with one on its 64 × 64 latent, and measures the decoding that
 * latents need once per image: seconds (minimum of the runs) and the memory of the graph, with random weights. Requires
 * `npm run prepare`.
 *
 *   node bench/latent-vs-pixels.mjs [--side 512] [--runs 2]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openUNetFolder } from '../.build/lib/checkpoint/folder.js';
import { openVqganModel } from '../.build/lib/families/shared/vqgan/open-vqgan.js';
import { Tensor, UNet, VQModel } from '../.build/lib/index.js';
import { waves } from './measure.mjs';
import { asked, published } from './published.mjs';
import { writeRandom } from './random-weights.mjs';

const FACTOR = 8;
const { values } = parseArgs({
  options: { side: { type: 'string', default: '512' }, runs: { type: 'string', default: '2' } },
});
const [side, runs] = [Number(values.side), Number(values.runs)];

/** A U-Net as in DDPM, with attention only at the lowest resolution, so that pixels fit into memory. */
const ARCHITECTURE = {
  _class_name: 'UNet2DModel',
  in_channels: 4,
  out_channels: 4,
  block_out_channels: [128, 256, 384, 512],
  layers_per_block: 2,
  down_block_types: ['DownBlock2D', 'DownBlock2D', 'DownBlock2D', 'AttnDownBlock2D'],
  up_block_types: ['AttnUpBlock2D', 'UpBlock2D', 'UpBlock2D', 'UpBlock2D'],
  attention_head_dim: 32,
  sample_size: 64,
};

/** @param {string} what @param {{ memory(): { compute: number } }} module @param {() => Promise<unknown>} run */
async function report(what, module, run) {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await run();
    least = Math.min(least, (performance.now() - start) / 1000);
  }
  const megabytes = module.memory().compute / 2 ** 20;
  console.log(`${what}: ${least.toFixed(3)} s, ${megabytes.toFixed(0)} MiB`);
}

const folder = mkdtempSync(join(tmpdir(), 'safelight-bench-'));
try {
  writeFileSync(join(folder, 'config.json'), JSON.stringify(ARCHITECTURE));
  const { config } = await openArchitecture();
  for (const [what, size] of /** @type {const} */ ([
    [`a step on ${side / FACTOR} x ${side / FACTOR} latents`, side / FACTOR],
    [`a step on ${side} x ${side} pixels`, side],
  ])) {
    const unet = await UNet.load(await openUNetFolder(folder));
    const sample = waves([1, config.in_channels, size, size]);
    const timestep = Tensor.from(Float32Array.of(500), [1]);
    await report(what, unet, () => unet.forward({ sample, timestep }));
    unet.dispose();
  }
  const { shapes, yaml } = published('vq-f8');
  writeRandom(shapes, join(folder, 'vq-f8.safetensors'));
  writeFileSync(join(folder, 'vq-f8.yaml'), JSON.stringify(yaml));
  const { autoencoder } = await openVqganModel(join(folder, 'vq-f8.safetensors'));
  if (autoencoder.kind !== 'vq_model') throw new Error('Expected vq-f8 to be a VQ model');
  const model = await VQModel.load(autoencoder);
  const latent = waves([1, 4, side / FACTOR, side / FACTOR]);
  await report(`decoding them (VQ-f8)`, model, () => model.decode(latent));
  model.dispose();
} finally {
  rmSync(folder, { recursive: true });
}

/** Writes the U-Net's weights and returns its config. */
async function openArchitecture() {
  const { readUNetConfig } = await import('../.build/lib/checkpoint/config/diffusers/unet.js');
  const config = readUNetConfig(ARCHITECTURE, folder);
  writeRandom(asked('unet', { ...config }, ''), join(folder, 'diffusion_pytorch_model.safetensors'));
  return { config };
}
