// @ts-check
/**
 * Safelight as a contender of bench/compare.mjs; worker.py describes the protocol. PEERS_PRECISION, PEERS_STORAGE and PEERS_MEMORY
 * set the options `precision`, `storage` and `memory`.
 */
import { createInterface } from 'node:readline';
import { Autoencoder, openModel, Tensor, TextEncoder, UNet } from '../../dist/index.js';
import { waves } from '../measure.mjs';

const checkpoint = process.env.PEERS_CHECKPOINT ?? '';
/** @type {{ dispose(): void } | undefined} */
let loaded;
/** @type {() => Promise<unknown>} */
let run = async () => undefined;

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.cmd === 'load') {
    loaded?.dispose();
    [loaded, run] = await load(command);
    reply({});
  } else {
    const start = performance.now();
    await run();
    reply({ seconds: (performance.now() - start) / 1000 });
  }
}
loaded?.dispose();

/**
 * @param {{ module: string, side: number, batch: number, threads: number }} cell
 * @returns {Promise<[{ dispose(): void }, () => Promise<unknown>]>}
 */
async function load({ module, side, batch, threads }) {
  const model = await openModel(checkpoint);
  const options = /** @type {any} */ ({
    threads,
    precision: process.env.PEERS_PRECISION,
    storage: process.env.PEERS_STORAGE,
    memory: process.env.PEERS_MEMORY,
  });
  if (module === 'decoder') {
    if (model.autoencoder.kind !== 'autoencoder_kl')
      throw new Error(`Expected a checkpoint with a KL autoencoder, received ${checkpoint}`);
    const { latent_channels } = model.autoencoder.config;
    const autoencoder = await Autoencoder.load(model.autoencoder, options);
    const latent = waves([batch, latent_channels, side, side]);
    return [autoencoder, () => autoencoder.decode(latent)];
  }
  if (module === 'text') {
    const [source] = model.textEncoders;
    if (!source) throw new Error(`Expected a checkpoint with a text encoder, received ${checkpoint}`);
    const encoder = await TextEncoder.load(source, options);
    const ids = Int32Array.from({ length: batch * 77 }, (_, i) => (i * 617) % 40_000);
    const tokens = Tensor.from(ids, [batch, 77]);
    return [encoder, () => encoder.encode({ tokens })];
  }
  const unet = await UNet.load(model.unet, options);
  const { in_channels, cross_attention_dim, addition } = model.unet.config;
  const inputs = {
    sample: waves([batch, in_channels, side, side]),
    timestep: Tensor.from(new Float32Array(batch).fill(500), [batch]),
    context: waves([batch, 77, cross_attention_dim]),
    ...(addition && {
      textEmbeds: waves([batch, addition.input_dim - 6 * addition.time_embed_dim]),
      timeIds: waves([batch, 6]),
    }),
  };
  return [unet, () => unet.forward(inputs)];
}

/** @param {Record<string, unknown>} value */
function reply(value) {
  console.log(JSON.stringify(value));
}
