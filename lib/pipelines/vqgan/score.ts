/** Scores of an image under a model: discriminator logits, training losses and log likelihood. */

import { usualLosses } from '../../checkpoint/config/omegaconf/losses.js';
import type { ImageSource } from '../../image/read.js';
import { type AutoencoderLosses, vqganLosses } from '../../modules/vqgan-losses.js';
import * as check from '../../options/check.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Warning } from '../../warnings.js';
import { patchMap } from '../trace/patch-map.js';
import { type CodebookUsage, toGrid, usageOf } from './grid.js';
import { type LogLikelihood, likelihoodOf } from './likelihood.js';
import { psnr, renderDecoded } from './pixels.js';
import type { Size } from './prepare-input.js';
import { imageKeys, readInputImage, type VqganImageOptions } from './reconstruct.js';
import { resolveClass, sideOf } from './sample-options.js';
import type { VqganModel } from './vqgan-model.js';

/**
 * Options of `VqganPipeline.score`. For models with a transformer, an image with more codes than the training size is
 * scaled down to that size; with `width` or `height`, the requested size is used and each code is evaluated in a
 * sliding window.
 */
export interface ScoreOptions extends VqganImageOptions {
  /** Class index; required for class-conditional models with a transformer. */
  readonly class?: number | undefined;
  /** Conditioning image of an image-conditional model; default a white image. */
  readonly condition?: ImageSource | undefined;
}

/** Losses under the names of the reference; null for those that could not be computed. */
export type ScoreLosses = Omit<AutoencoderLosses, 'tensors' | 'left_out'>;

export interface Score {
  /** Discriminator logits `[h, w]` per patch; larger means more real. Null if the model has no discriminator. */
  readonly patches: Tensor | null;
  /** The logits in false colours over the image, light for real, dark for generated; null without a discriminator. */
  readonly heatMap: RgbImage | null;
  readonly losses: ScoreLosses;
  /** Losses that are null, each with the reason. */
  readonly leftOut: readonly string[];
  /** Log likelihood of the code indices; null without a transformer. */
  readonly logLikelihood: LogLikelihood | null;
  /** Reason for a missing log likelihood; null if it was computed. */
  readonly withoutLikelihood: string | null;
  /** Code indices `[H/f][W/f]`; null for a KL autoencoder. */
  readonly codes: number[][] | null;
  /** Null for a KL autoencoder. */
  readonly usage: CodebookUsage | null;
  /** Peak signal-to-noise ratio of the bytes of image and reconstruction, in dB. */
  readonly psnr: number;
  /** The resized and cropped image that was scored. */
  readonly original: RgbImage;
  readonly reconstruction: RgbImage;
  /** Duration of the call in seconds. */
  readonly seconds: number;
  readonly warnings: readonly Warning[];
}

const NO_TRANSFORMER = 'the model is an autoencoder without a transformer';

/** Scores an image. */
export async function scoreStage(
  model: VqganModel,
  source: ImageSource,
  scoreOptions: ScoreOptions,
): Promise<Score> {
  check.knownKeys('options', scoreOptions, new Set([...imageKeys, 'class', 'condition']));
  const { class: index, condition, ...options } = scoreOptions;
  const { transformer, losses: config, autoencoder, logvar, problem } = model.source;
  checkCondition(model, index, condition);
  const { signal, reporter, prepared, warnings } = await readInputImage(
    model,
    source,
    options,
    maxSizeOf(model),
  );
  const stage = await model.autoencoder(signal);
  reporter.report('encode', 0, 2);
  const { tensors, left_out, ...losses } = await vqganLosses(
    {
      autoencoder: stage.model,
      config: config ?? usualLosses(autoencoder.kind === 'vq_model' ? 'vq' : 'kl'),
      discriminator: await model.discriminator(signal),
      lpips: await model.lpips(signal),
      logvar,
    },
    prepared.input,
    { signal },
  );
  const { reconstruction, indices, logits_real: logits } = tensors;
  throwIfNotFinite(reconstruction.data, 'The reconstruction');
  reporter.report('encode', 1, 2);
  const logLikelihood =
    transformer && indices ? await likelihoodOf(model, { indices, image: condition, index, signal }) : null;
  reporter.report('encode', 2, 2);
  const [original, rendered] = [renderDecoded(prepared.input), renderDecoded(reconstruction)];
  const patches = logits?.reshape(logits.shape.slice(2)) ?? null;
  return {
    patches,
    heatMap: patches && patchMap(original, patches).overlay,
    losses,
    leftOut: left_out,
    logLikelihood,
    withoutLikelihood: logLikelihood ? null : (problem ?? NO_TRANSFORMER),
    codes: indices && toGrid(indices),
    usage: indices && stage.kind === 'vq_model' ? usageOf(indices.data, stage.model.indexCount) : null,
    psnr: psnr(original, rendered),
    original,
    reconstruction: rendered,
    seconds: reporter.elapsed,
    warnings: warnings.list,
  };
}

/**
 * Returns the size above which images are scaled down by default: beyond the training size, each code is evaluated in
 * a sliding window, which takes minutes or hours.
 */
function maxSizeOf(model: VqganModel): Size | undefined {
  const side = sideOf(model) * model.downsampleFactor;
  return model.source.transformer ? { width: side, height: side } : undefined;
}

/** Checks class and conditioning image before anything is computed. */
function checkCondition(
  model: VqganModel,
  index: number | undefined,
  condition: ImageSource | undefined,
): void {
  if (model.source.transformer) resolveClass(model.source.condition, index);
  if (condition !== undefined) model.checkImageCondition();
}
