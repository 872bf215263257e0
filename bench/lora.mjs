// @ts-check
/**
 * Measures LoRAs on a U-Net: seconds of a switch to two LoRAs of rank 32 on the linear layers of its transformer blocks, and the time of
 * an evaluation with them relative to one without. Evaluations alternate, and medians are compared. Requires `npm run prepare`.
 *
 *   node bench/random-checkpoint.mjs sd1 /tmp/sd1.safetensors
 *   node bench/lora.mjs /tmp/sd1.safetensors [--storage f16,q8_0] [--memory balanced] [--side 256] [--runs 9]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readLora } from '../.build/lib/adapters/lora-file.js';
import { matchLora } from '../.build/lib/adapters/lora-patches.js';
import { modelLayers } from '../.build/lib/adapters/model-layers.js';
import { adaptedModules } from '../.build/lib/families/shared/unet/lora-target.js';
import { openModel, Tensor, UNet } from '../.build/lib/index.js';
import { median } from './measure.mjs';
import { writeRandom } from './random-weights.mjs';

const args = process.argv.slice(2);
/** @param {string} name @param {string} instead */
const option = (name, instead) => (args.includes(name) ? String(args[args.indexOf(name) + 1]) : instead);
const [path = ''] = args;
if (!path || path.startsWith('--')) {
  console.error(
    'usage: lora.mjs CHECKPOINT [--storage f16,q8_0] [--memory balanced|lean] [--side 256] [--runs 9]',
  );
  process.exit(2);
}
const RANK = 32;
const PROJECTIONS = /\.(attn[12]\.(to_[qkv]|to_out\.0)|ff\.net\.(0\.proj|2))$/;
const memory = /** @type {'balanced' | 'lean'} */ (option('--memory', 'balanced'));
const side = Number(option('--side', '256')) / 8;
const runs = Number(option('--runs', '9'));

const model = await openModel(path);
const layers = modelLayers(adaptedModules(model));
const folder = mkdtempSync(join(tmpdir(), 'safelight-bench-lora-'));
try {
  const names = ['a', 'b'].map((name) => join(folder, `${name}.safetensors`));
  for (const file of names) writeRandom(shapes(), file);
  const target = { name: path, family: model.family, textWidth: model.unet.config.cross_attention_dim };
  const loras = await Promise.all(names.map(async (file) => matchLora(await readLora(file), layers, target)));
  const patches = loras.flatMap(({ patches }) =>
    patches.unet.map((patch) => ({ ...patch, scale: patch.scale * 0.5 })),
  );
  console.log(
    `${patches.length} patches, rank ${RANK}, memory '${memory}', ${side * 8} pixels, medians of ${runs}`,
  );
  for (const storage of option('--storage', 'f16,q8_0').split(',')) await measure(storage, patches);
} finally {
  rmSync(folder, { recursive: true });
}

/** Tensors of a kohya LoRA for the projections of every transformer block. */
function shapes() {
  /** @type {Map<string, readonly number[]>} */
  const out = new Map();
  const own = [...layers].filter(
    ([name]) =>
      name.startsWith('lora_unet_down') ||
      name.startsWith('lora_unet_mid') ||
      name.startsWith('lora_unet_up'),
  );
  for (const [name, [layer]] of own) {
    if (!layer || !PROJECTIONS.test(layer.name)) continue;
    const [rows = 0, columns = 0] = layer.shape;
    out.set(`${name}.lora_down.weight`, [RANK, columns]);
    out.set(`${name}.lora_up.weight`, [rows, RANK]);
  }
  return out;
}

/** @param {string} storage @param {readonly import('../.build/lib/index.js').WeightPatch[]} patches */
async function measure(storage, patches) {
  const unet = await UNet.load(model.unet, { storage: /** @type {'f16'} */ (storage), memory });
  const { in_channels: channels, cross_attention_dim: width } = unet.config;
  const inputs = {
    sample: Tensor.zeros([1, channels, side, side]),
    timestep: Tensor.from(Float32Array.of(500), [1]),
    context: Tensor.zeros([1, 77, width]),
  };
  /** @type {number[]} */
  const switches = [];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    await unet.setPatches('loras', patches);
    switches.push((performance.now() - start) / 1000);
  }
  /** @type {[number[], number[]]} */
  const times = [[], []];
  for (let i = 0; i <= runs; i++)
    for (const [k, id] of [undefined, 'loras'].entries()) {
      const { timings } = await unet.forward(inputs, { patches: id });
      // The first evaluation of each allocates.
      if (i > 0) times[k]?.push(timings.compute);
    }
  const [plain = 0, patched = 0] = times.map(median);
  const megabytes = Math.round(unet.memory().patches / 1e6);
  console.log(
    `${storage.padEnd(6)} switch ${median(switches).toFixed(2)} s, evaluation ${(plain / 1000).toFixed(3)} s, with LoRAs ${(patched / plain).toFixed(3)}x, ${megabytes} MB more`,
  );
  unet.dispose();
}
