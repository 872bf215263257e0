/**
 * The losses of pictures under an autoencoder, as its training would compute them: taming's and CompVis' VQLPIPSWithDiscriminator, and
 * CompVis' LPIPSWithDiscriminator of KL autoencoders.
 */

import { type LossConfig, usualLosses } from '../checkpoint/config/omegaconf/losses.js';
import { invalidOption } from '../errors.js';
import { checkSignal, knownKeys } from '../known-keys.js';
import { checkTensor } from '../tensor/check-tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import { Autoencoder } from './autoencoder.js';
import {
  discriminatorLoss,
  gumbelDivergence,
  klDivergence,
  mean,
  meansOf,
  pixelDistance,
} from './loss-terms.js';
import { Lpips } from './lpips.js';
import { PatchDiscriminator } from './patch-discriminator.js';
import { VQModel } from './vq-model.js';

export interface LossModules {
  readonly autoencoder: VQModel | Autoencoder;
  /** As the checkpoint's config has it; `usualLosses` without one. */
  readonly config: LossConfig;
  readonly discriminator?: PatchDiscriminator | null | undefined;
  readonly lpips?: Lpips | null | undefined;
  /** Of KL autoencoders: the learnt log variance of pixels (`loss.logvar`). */
  readonly logvar?: number | null | undefined;
}

export interface LossOptions {
  /** The step of training that is asked about: before `disc_start` the discriminator does not count. Without it, it does, with factor 1. */
  readonly step?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Numbers under the reference's names (without `train/` or `val/`); null for what could not be computed. */
export interface AutoencoderLosses {
  /** L1 (or L2) of the pixels alone. */
  readonly pixel_loss: number;
  /** LPIPS. */
  readonly p_loss: number | null;
  /** Pixels plus `perceptual_weight` times LPIPS. */
  readonly rec_loss: number;
  /** Of a codebook `rec_loss`; of KL its sum over a picture under `logvar`. */
  readonly nll_loss: number;
  /** Of a codebook: of codes and commitment together; of the Gumbel kind, the weighted divergence. */
  readonly quant_loss: number | null;
  readonly kl_loss: number | null;
  /** -mean(logits_fake). */
  readonly g_loss: number | null;
  readonly disc_loss: number | null;
  readonly logits_real: number | null;
  readonly logits_fake: number | null;
  /** What the discriminator counts at the step asked about. */
  readonly disc_factor: number;
  /** All but the generator's term, whose adaptive weight needs gradients. */
  readonly total_loss: number;
  /** What is missing above, and why. */
  readonly left_out: readonly string[];
  readonly tensors: {
    /** Like the picture. */
    readonly reconstruction: Tensor;
    /** `[B, h, w]` of a codebook. */
    readonly indices: Tensor<Int32Array> | null;
    /** `[B, 1, h, w]`, of the picture and of its reconstruction. */
    readonly logits_real: Tensor | null;
    readonly logits_fake: Tensor | null;
  };
}

/**
 * @param image `[B, C, H, W]` in -1..1, sides multiples of the autoencoder's factor
 * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
 */
export async function vqganLosses(
  modules: LossModules,
  image: Tensor,
  options: LossOptions = {},
): Promise<AutoencoderLosses> {
  const { step, signal } = checkOptions(options);
  const { autoencoder, config, lpips } = checkModules(modules);
  checkTensor('image', image, ['B', autoencoder.config.in_channels, 'H', 'W']);
  const through =
    autoencoder instanceof Autoencoder
      ? await throughGaussian(autoencoder, image, signal)
      : await throughCodebook(autoencoder, image, config, signal);
  const { reconstruction } = through;
  const left_out: string[] = ['d_weight: the adaptive weight of the generator needs gradients'];
  const perceptual = config.perceptual_weight > 0;
  if (perceptual && !lpips) left_out.push('p_loss: the checkpoint has no loss.perceptual_loss.*');
  const distances =
    perceptual && lpips ? (await lpips.compare(image, reconstruction, { signal })).distance : null;
  const pixels = pixelDistance(image, reconstruction, config.pixel_loss);
  const p_loss = distances === null ? null : mean(distances.data);
  const rec_loss = pixels + config.perceptual_weight * (p_loss ?? 0);
  const nll_loss = config.kind === 'kl' ? gaussianNll(image, rec_loss, modules.logvar ?? 0) : rec_loss;
  const disc_factor = step === undefined ? 1 : step < config.disc_start ? 0 : config.disc_factor;
  const judged = await judge(modules, image, reconstruction, disc_factor, left_out, signal);
  return {
    pixel_loss: pixels,
    p_loss,
    rec_loss,
    nll_loss,
    quant_loss: through.quant_loss,
    kl_loss: through.kl_loss,
    ...judged.numbers,
    disc_factor,
    total_loss:
      nll_loss +
      config.codebook_weight * (through.quant_loss ?? 0) +
      config.kl_weight * (through.kl_loss ?? 0),
    left_out,
    tensors: { reconstruction, indices: through.indices, ...judged.tensors },
  };
}

function checkOptions(options: LossOptions): LossOptions {
  knownKeys('options', options, new Set(['step', 'signal']));
  checkSignal('signal', options.signal);
  const { step } = options;
  if (step !== undefined && !(Number.isSafeInteger(step) && step >= 0))
    throw invalidOption('step', 'integer of at least 0', step);
  return options;
}

function checkModules(modules: LossModules): LossModules {
  const keys = ['autoencoder', 'config', 'discriminator', 'lpips', 'logvar'];
  knownKeys('modules', modules, new Set(keys));
  const { autoencoder, config, discriminator, lpips, logvar } = modules;
  if (!(autoencoder instanceof Autoencoder || autoencoder instanceof VQModel))
    throw invalidOption('autoencoder', 'a loaded Autoencoder or VQModel', autoencoder);
  if (discriminator && !(discriminator instanceof PatchDiscriminator))
    throw invalidOption('discriminator', 'a loaded PatchDiscriminator', discriminator);
  if (lpips && !(lpips instanceof Lpips)) throw invalidOption('lpips', 'a loaded Lpips', lpips);
  if (logvar !== undefined && logvar !== null && !Number.isFinite(logvar))
    throw invalidOption('logvar', 'finite number', logvar);
  // All that the default of either kind has.
  knownKeys('config', config, new Set(Object.keys(usualLosses('vq'))));
  for (const [name, usual] of Object.entries(usualLosses('vq'))) {
    const value: unknown = new Map<string, unknown>(Object.entries(config)).get(name);
    if (typeof value !== typeof usual)
      throw invalidOption(`config.${name}`, `${typeof usual} (see usualLosses)`, value);
  }
  return modules;
}

interface Through {
  readonly reconstruction: Tensor;
  readonly indices: Tensor<Int32Array> | null;
  readonly quant_loss: number | null;
  readonly kl_loss: number | null;
}

async function throughCodebook(
  model: VQModel,
  image: Tensor,
  config: LossConfig,
  signal: AbortSignal | undefined,
): Promise<Through> {
  const gumbel = model.config.quantizer === 'gumbel';
  const { latent } = await model.encode(image, { signal });
  const { indices, quantized, distance, logits } = await model.quantize(latent, { logits: gumbel, signal });
  const { image: reconstruction } = await model.decode(quantized, { signal });
  // With `legacy`, beta weighs the codes' term, without it the commitment's; their values are the same.
  const quant_loss =
    distance === null
      ? config.gumbel_kl_weight * gumbelDivergence(logits!, model.remap?.used ?? null)
      : (1 + config.beta) * (mean(distance.data) / model.config.vq_embed_dim);
  return { reconstruction, indices, quant_loss, kl_loss: null };
}

/** By the mean of the latents' distribution, where training draws from it. */
async function throughGaussian(
  model: Autoencoder,
  image: Tensor,
  signal: AbortSignal | undefined,
): Promise<Through> {
  const { moments } = await model.encodeWhole(image, { signal });
  const { image: reconstruction } = await model.decodeWhole(meansOf(moments), { signal });
  return { reconstruction, indices: null, quant_loss: null, kl_loss: klDivergence(moments) };
}

/** Summed over a picture's pixels, averaged over the batch. */
function gaussianNll(image: Tensor, rec_loss: number, logvar: number): number {
  return (rec_loss / Math.exp(logvar) + logvar) * (image.size / image.shape[0]!);
}

async function judge(
  { discriminator, config }: LossModules,
  image: Tensor,
  reconstruction: Tensor,
  factor: number,
  leftOut: string[],
  signal: AbortSignal | undefined,
) {
  const why = !discriminator
    ? 'the checkpoint has no loss.discriminator.*'
    : config.disc_conditional || discriminator.config.in_channels !== image.shape[1]
      ? 'the discriminator sees a condition too'
      : null;
  if (!discriminator || why !== null) {
    leftOut.push(`g_loss, disc_loss: ${why}`);
    return {
      numbers: { g_loss: null, disc_loss: null, logits_real: null, logits_fake: null },
      tensors: { logits_real: null, logits_fake: null },
    };
  }
  const { logits: real } = await discriminator.score(image, { signal });
  const { logits: fake } = await discriminator.score(reconstruction, { signal });
  return {
    numbers: {
      g_loss: -mean(fake.data),
      disc_loss: factor * discriminatorLoss(real.data, fake.data, config.disc_loss),
      logits_real: mean(real.data),
      logits_fake: mean(fake.data),
    },
    tensors: { logits_real: real, logits_fake: fake },
  };
}
