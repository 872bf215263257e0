/**
 * The losses of an image under an autoencoder, as its training computes them: VQLPIPSWithDiscriminator of
 * taming-transformers and CompVis for codebooks, CompVis' LPIPSWithDiscriminator for KL autoencoders.
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

/** The loaded modules and settings that `vqganLosses` computes with. */
export interface LossModules {
  readonly autoencoder: VQModel | Autoencoder;
  /** Loss settings of the checkpoint's config; use `usualLosses` if it has none. */
  readonly config: LossConfig;
  readonly discriminator?: PatchDiscriminator | null | undefined;
  readonly lpips?: Lpips | null | undefined;
  /** Learned log variance of the pixels (`loss.logvar`), for KL autoencoders. Default 0. */
  readonly logvar?: number | null | undefined;
}

export interface LossOptions {
  /**
   * Training step to compute the losses for: before `disc_start` the discriminator's factor is 0. Without a step the
   * factor is 1.
   */
  readonly step?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Losses under the names of the reference (without `train/` or `val/`); null for those that could not be computed. */
export interface AutoencoderLosses {
  /** Mean absolute (or squared, for `pixel_loss: l2`) difference of the pixels. */
  readonly pixel_loss: number;
  /** Mean LPIPS distance. */
  readonly p_loss: number | null;
  /** `pixel_loss` + `perceptual_weight` * `p_loss`. */
  readonly rec_loss: number;
  /** For codebooks `rec_loss`; for KL autoencoders the sum over an image of `rec_loss` / exp(logvar) + logvar. */
  readonly nll_loss: number;
  /** For codebooks the codebook and commitment losses together; for Gumbel quantizers the weighted KL divergence. */
  readonly quant_loss: number | null;
  readonly kl_loss: number | null;
  /** -mean(logits_fake). */
  readonly g_loss: number | null;
  readonly disc_loss: number | null;
  readonly logits_real: number | null;
  readonly logits_fake: number | null;
  /** Weight of the discriminator's terms at `LossOptions.step`. */
  readonly disc_factor: number;
  /** Sum of all terms except the generator's, whose adaptive weight needs gradients. */
  readonly total_loss: number;
  /** Losses that are not computed, each with the reason. */
  readonly left_out: readonly string[];
  readonly tensors: {
    /** `[B, C, H, W]`, as the image. */
    readonly reconstruction: Tensor;
    /** Code indices `[B, h, w]`; null for KL autoencoders. */
    readonly indices: Tensor<Int32Array> | null;
    /** Discriminator logits `[B, 1, h, w]` of the image and of its reconstruction. */
    readonly logits_real: Tensor | null;
    readonly logits_fake: Tensor | null;
  };
}

/**
 * Computes the training losses of images.
 * @param image `[B, C, H, W]` in -1..1, sides multiples of the autoencoder's `downsampleFactor`
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
  const coded =
    autoencoder instanceof Autoencoder
      ? await reconstructFromMeans(autoencoder, image, signal)
      : await reconstructThroughCodebook(autoencoder, image, config, signal);
  const { reconstruction } = coded;
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
  const adversarial = await adversarialLosses(modules, image, reconstruction, disc_factor, left_out, signal);
  return {
    pixel_loss: pixels,
    p_loss,
    rec_loss,
    nll_loss,
    quant_loss: coded.quant_loss,
    kl_loss: coded.kl_loss,
    ...adversarial.numbers,
    disc_factor,
    total_loss:
      nll_loss + config.codebook_weight * (coded.quant_loss ?? 0) + config.kl_weight * (coded.kl_loss ?? 0),
    left_out,
    tensors: { reconstruction, indices: coded.indices, ...adversarial.tensors },
  };
}

function checkOptions(options: LossOptions): LossOptions {
  knownKeys('options', options, new Set(['step', 'signal']));
  checkSignal('signal', options.signal);
  const { step } = options;
  if (step !== undefined && !(Number.isSafeInteger(step) && step >= 0))
    throw invalidOption('step', 'an integer of at least 0', step);
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
    throw invalidOption('logvar', 'a finite number', logvar);
  // The defaults of both kinds have the same keys.
  knownKeys('config', config, new Set(Object.keys(usualLosses('vq'))));
  for (const [name, defaultValue] of Object.entries(usualLosses('vq'))) {
    const value: unknown = new Map<string, unknown>(Object.entries(config)).get(name);
    if (typeof value !== typeof defaultValue)
      throw invalidOption(`config.${name}`, `a ${typeof defaultValue} (see usualLosses)`, value);
  }
  return modules;
}

interface Reconstruction {
  readonly reconstruction: Tensor;
  readonly indices: Tensor<Int32Array> | null;
  readonly quant_loss: number | null;
  readonly kl_loss: number | null;
}

async function reconstructThroughCodebook(
  model: VQModel,
  image: Tensor,
  config: LossConfig,
  signal: AbortSignal | undefined,
): Promise<Reconstruction> {
  const gumbel = model.config.quantizer === 'gumbel';
  const { latent } = await model.encode(image, { signal });
  const { indices, quantized, distance, logits } = await model.quantize(latent, { logits: gumbel, signal });
  const { image: reconstruction } = await model.decode(quantized, { signal });
  // beta weighs the codebook term with taming's `legacy`, otherwise the commitment term; both terms have the same
  // value.
  const quant_loss =
    distance === null
      ? config.gumbel_kl_weight * gumbelDivergence(logits!, model.remap?.used ?? null)
      : (1 + config.beta) * (mean(distance.data) / model.config.vq_embed_dim);
  return { reconstruction, indices, quant_loss, kl_loss: null };
}

/** Decodes the mean of the latent distribution; training samples from the distribution instead. */
async function reconstructFromMeans(
  model: Autoencoder,
  image: Tensor,
  signal: AbortSignal | undefined,
): Promise<Reconstruction> {
  const { moments } = await model.encodeWhole(image, { signal });
  const { image: reconstruction } = await model.decodeWhole(meansOf(moments), { signal });
  return { reconstruction, indices: null, quant_loss: null, kl_loss: klDivergence(moments) };
}

/** Summed over the values of an image, averaged over the batch. */
function gaussianNll(image: Tensor, rec_loss: number, logvar: number): number {
  return (rec_loss / Math.exp(logvar) + logvar) * (image.size / image.shape[0]!);
}

async function adversarialLosses(
  { discriminator, config }: LossModules,
  image: Tensor,
  reconstruction: Tensor,
  factor: number,
  leftOut: string[],
  signal: AbortSignal | undefined,
) {
  const reason = !discriminator
    ? 'the checkpoint has no loss.discriminator.*'
    : config.disc_conditional || discriminator.config.in_channels !== image.shape[1]
      ? 'the discriminator also needs a conditioning input'
      : null;
  if (!discriminator || reason !== null) {
    leftOut.push(`g_loss, disc_loss: ${reason}`);
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
