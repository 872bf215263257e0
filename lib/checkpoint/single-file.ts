/**
 * A single file in CompVis' ("ldm") form: everything in one file, no config. The family is told by where the text encoders are,
 * sizes by the tensors; what tensors cannot tell is a fact of the family (FACTS: heads, activations, norms, prediction).
 */

import { detectUNetConfig } from './config/detect/unet.js';
import { STABLE_DIFFUSION_SCHEDULER } from './config/diffusers/scheduler.js';
import type { ModelFamily, SchedulerConfig } from './config/types.js';
import { openEmbedded } from './embedded-model.js';
import { openWeights } from './formats/open-weights.js';
import { isLatentDiffusion, openLatentDiffusion, readNamedScheduler } from './latent-diffusion.js';
import { incomplete } from './missing-parts.js';
import type { OpenModelOptions, PredictionFrom } from './model-descriptor.js';
import { findUNet, unetNaming } from './naming/unet-place.js';
import { openAutoencoderTensors } from './open-autoencoder.js';
import { refuseOtherFamilies } from './other-families.js';
import type { ModelParts } from './parts.js';
import { AUTOENCODER, type FileFamily, familyOf, openEncoder } from './single-file-text.js';
import { readStatedTraining, type StatedTraining } from './stated-training.js';
import { ComponentWeights } from './weights/component.js';
import type { TensorIndex } from './weights/tensor-index.js';

/** Numbers that follow the pooled text: sizes, crop and target size, of which the refiner has an aesthetic score instead. */
const TIME_IDS: Readonly<Record<FileFamily, number>> = { sd1: 0, sd2: 0, sdxl: 6, sdxl_refiner: 5 };
/** How the sampler sees latents: unit variance over the training pictures. */
const SCALE: Readonly<Record<FileFamily, number>> = {
  sd1: 0.18215,
  sd2: 0.18215,
  sdxl: 0.13025,
  sdxl_refiner: 0.13025,
};

/** @param path absolute path of the file */
export async function openSingleFile(path: string, options: OpenModelOptions): Promise<ModelParts> {
  const { tensors, metadata, notes } = await openWeights(path, { ema: options.ema ?? false });
  const embedded = metadata && openEmbedded(tensors, metadata, path, options);
  if (embedded) return embedded;
  refuseOtherFamilies(tensors, path);
  if (isLatentDiffusion(tensors)) return openLatentDiffusion(tensors, path, options);
  const place = findUNet(tensors.keys());
  const found = place && familyOf(tensors, place.prefix);
  if (place === null || found === null) throw incomplete(tensors, path, options.vae !== undefined);
  const { family, places } = found;
  const textEncoders = places.map((place) => openEncoder(place, tensors, path));
  const weights = new ComponentWeights('U-Net', path, tensors, unetNaming(place, tensors.keys(), path));
  const scale = { scaling_factor: SCALE[family], shift_factor: 0 };
  const autoencoder =
    options.vae === undefined
      ? { kind: 'autoencoder_kl' as const, ...openAutoencoderTensors(tensors, AUTOENCODER, path, scale) }
      : null;
  const pooled = textEncoders.find((encoder) => encoder.pooled)?.config.projection_dim;
  const config = detectUNetConfig(weights, {
    addition: pooled === undefined ? null : { pooled, ids: TIME_IDS[family] },
    // Settled once the autoencoder's factor is known.
    sampleSize: 64,
    // Writers of GGUF may drop the ones of 1x1 convolutions; SD1 has them in every file.
    ...(metadata && family === 'sd1' ? { convolutions: true } : {}),
  });
  const told = await readNamedScheduler(path, options);
  const { scheduler, from, uncertain } = training({
    tensors,
    family,
    inChannels: config.in_channels,
    override: options.prediction,
    told,
    stated: readStatedTraining(notes),
  });
  return {
    form: 'file',
    ownSize: false,
    family,
    textEncoders,
    condition: { kind: 'text' },
    unet: { config, weights },
    autoencoder,
    latentScale: scale,
    scheduler,
    defaults: {},
    forceZerosForEmptyPrompt: family === 'sdxl' || family === 'sdxl_refiner',
    predictionUncertain: uncertain,
    predictionFrom: from,
  };
}

/** Side in pixels of the pictures that a family was trained on. */
export function nativeSize(family: ModelFamily, scheduler: SchedulerConfig): number {
  if (family === 'sdxl' || family === 'sdxl_refiner') return 1024;
  return family === 'sd2' && scheduler.prediction === 'v' ? 768 : 512;
}

/** Tensors by which the makers of a file say how it was trained; they are no weights. */
export function isMarker(name: string): boolean {
  return name === 'v_pred' || name === 'ztsnr' || name === 'scale_factor';
}

interface TrainingFacts {
  readonly tensors: TensorIndex;
  readonly family: FileFamily;
  readonly inChannels: number;
  readonly override: SchedulerConfig['prediction'] | undefined;
  /** By a YAML that was named. */
  readonly told: SchedulerConfig | null;
  /** By the file's metadata. */
  readonly stated: StatedTraining;
}

/** How the model was trained: by the option, a YAML that was named, its markers, its metadata, its family, the first that says. */
function training({ tensors, family, inChannels, override, told, stated }: TrainingFacts): {
  scheduler: SchedulerConfig;
  from: PredictionFrom;
  uncertain: boolean;
} {
  const sayings: readonly (readonly [SchedulerConfig['prediction'] | undefined, PredictionFrom])[] = [
    [override, { kind: 'option' }],
    [told?.prediction, { kind: 'config' }],
    [tensors.has('v_pred') ? 'v' : undefined, { kind: 'tensor', name: 'v_pred' }],
    [stated.prediction?.value, { kind: 'metadata', name: stated.prediction?.key ?? '' }],
  ];
  const [said, from] = sayings.find(([prediction]) => prediction !== undefined) ?? [];
  const scheduler: SchedulerConfig = {
    ...(told ?? STABLE_DIFFUSION_SCHEDULER),
    prediction: said ?? 'eps',
    rescale_zero_snr: tensors.has('ztsnr') || (stated.zeroSnr?.value ?? false),
  };
  // SD2's 512 model predicts eps, its 768 model v, its inpainting model eps; the first two have the same tensors.
  const uncertain = family === 'sd2' && inChannels !== 9 && said === undefined;
  return { scheduler, from: from ?? { kind: 'family' }, uncertain };
}
