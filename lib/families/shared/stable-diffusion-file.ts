/**
 * Single files of Stable Diffusion in CompVis' ("ldm") form: all components in one file without config. Sizes are
 * derived from tensor shapes; other properties are defined by the family.
 */

import type { UNetModelComponents } from '../../checkpoint/components.js';
import { detectUNetConfig } from '../../checkpoint/config/detect/unet.js';
import { STABLE_DIFFUSION_SCHEDULER } from '../../checkpoint/config/diffusers/scheduler.js';
import { readNamedScheduler } from '../../checkpoint/config/omegaconf/named-scheduler.js';
import type { SchedulerConfig } from '../../checkpoint/config/types.js';
import type { OpenModelOptions, PredictionFrom } from '../../checkpoint/model-descriptor.js';
import type { ModelFile } from '../../checkpoint/model-files.js';
import { findUNet, unetNaming } from '../../checkpoint/naming/find-unet.js';
import { openAutoencoderTensors } from '../../checkpoint/open-autoencoder.js';
import { AUTOENCODER, type EncoderLayout, openEncoder } from '../../checkpoint/text-encoder-layout.js';
import { readTrainingMetadata, type TrainingMetadata } from '../../checkpoint/training-metadata.js';
import { ComponentWeights } from '../../checkpoint/weights/component.js';
import type { TensorIndex } from '../../checkpoint/weights/tensor-index.js';
import type { StableDiffusionDefinition } from './stable-diffusion-definition.js';

/**
 * Reads the description of a file.
 * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, INVALID_FILE for a malformed YAML option
 */
export async function openStableDiffusionFile(
  { path, tensors, metadata, notes }: ModelFile,
  { encoders }: EncoderLayout,
  options: OpenModelOptions,
  family: StableDiffusionDefinition,
): Promise<UNetModelComponents> {
  const textEncoders = encoders.map((place) => openEncoder(place, tensors, path));
  const place = findUNet(tensors.keys())!;
  const weights = new ComponentWeights('U-Net', path, tensors, unetNaming(place, tensors.keys(), path));
  const scale = { scaling_factor: family.scalingFactor, shift_factor: 0 };
  const autoencoder =
    options.vae === undefined
      ? { kind: 'autoencoder_kl' as const, ...openAutoencoderTensors(tensors, AUTOENCODER, path, scale) }
      : null;
  const pooled = textEncoders.find((encoder) => encoder.pooled)?.config.projection_dim;
  const config = detectUNetConfig(weights, {
    addition: pooled === undefined ? null : { pooled, ids: family.timeIds ?? 0 },
    // Provisional; replaced once the autoencoder's downsampling factor is known.
    sampleSize: 64,
    ...(metadata && family.convolutionProjections ? { convolutions: true } : {}),
  });
  const { scheduler, from, uncertain } = training({
    tensors,
    varies: (family.predictionVaries ?? false) && config.in_channels !== 9,
    override: options.prediction,
    named: await readNamedScheduler(path, options),
    stated: readTrainingMetadata(notes),
  });
  return {
    form: 'file',
    ownSize: false,
    textEncoders,
    condition: { kind: 'text' },
    unet: { config, weights },
    autoencoder,
    latentScale: scale,
    scheduler,
    defaults: {},
    forceZerosForEmptyPrompt: family.zeroEmptyNegative,
    predictionUncertain: uncertain,
    predictionFrom: from,
  };
}

interface TrainingFacts {
  readonly tensors: TensorIndex;
  /** True if files of this family may predict noise or v; inpainting models always predict noise. */
  readonly varies: boolean;
  readonly override: SchedulerConfig['prediction'] | undefined;
  /** Read from a YAML passed as an option. */
  readonly named: SchedulerConfig | null;
  /** Read from the file's metadata. */
  readonly stated: TrainingMetadata;
}

/**
 * Determines the prediction type and schedule by the first source that states it: option, YAML, marker tensor,
 * metadata, family.
 */
function training({ tensors, varies, override, named, stated }: TrainingFacts): {
  scheduler: SchedulerConfig;
  from: PredictionFrom;
  uncertain: boolean;
} {
  const statements: readonly (readonly [SchedulerConfig['prediction'] | undefined, PredictionFrom])[] = [
    [override, { kind: 'option' }],
    [named?.prediction, { kind: 'config' }],
    [tensors.has('v_pred') ? 'v' : undefined, { kind: 'tensor', name: 'v_pred' }],
    [stated.prediction?.value, { kind: 'metadata', name: stated.prediction?.key ?? '' }],
  ];
  const [prediction, from] = statements.find(([value]) => value !== undefined) ?? [];
  const scheduler: SchedulerConfig = {
    ...(named ?? STABLE_DIFFUSION_SCHEDULER),
    prediction: prediction ?? 'eps',
    rescale_zero_snr: tensors.has('ztsnr') || (stated.zeroSnr?.value ?? false),
  };
  return { scheduler, from: from ?? { kind: 'family' }, uncertain: varies && prediction === undefined };
}
