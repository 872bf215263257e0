/** How a model sees a picture: its discriminator's word, the losses it was trained with, and its transformer's surprise. */

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
 * Of a model with a transformer, a picture of more codes than it sees at once is brought to the size it was trained at, unless `width` or
 * `height` asks for another: then each code is seen under a window of its own.
 */
export interface ScoreOptions extends VqganImageOptions {
  /** Of a class-conditional model with a transformer: needed there. */
  readonly class?: number | undefined;
  /** Of an image-conditional model, the drawing that the picture is said to be of; an empty page if left out. */
  readonly condition?: ImageSource | undefined;
}

/** Losses as numbers, under the reference's names; null for what could not be computed. */
export type ScoreLosses = Omit<AutoencoderLosses, 'tensors' | 'left_out'>;

export interface Score {
  /** `[h, w]`: the discriminator's logit for each patch; the larger, the more real it looks. Null where the model has none. */
  readonly patches: Tensor | null;
  /** The same as false colours over the picture, pale where it looks real, dark where made; null where there are none. */
  readonly heatMap: RgbImage | null;
  readonly losses: ScoreLosses;
  /** What is null in `losses`, and why. */
  readonly leftOut: readonly string[];
  /** Of the picture's codes; null of an autoencoder alone. */
  readonly logLikelihood: LogLikelihood | null;
  /** Why there is no likelihood; null if there is. */
  readonly withoutLikelihood: string | null;
  readonly codes: number[][] | null;
  readonly usage: CodebookUsage | null;
  /** Of the picture and its reconstruction, in dB over bytes. */
  readonly psnr: number;
  readonly original: RgbImage;
  readonly reconstruction: RgbImage;
  /** From call to result. */
  readonly seconds: number;
  readonly warnings: readonly Warning[];
}

const NO_TRANSFORMER = 'the model is an autoencoder alone';

export async function scoreStage(
  modules: VqganModel,
  source: ImageSource,
  asked: ScoreOptions,
): Promise<Score> {
  check.knownKeys('options', asked, new Set([...imageKeys, 'class', 'condition']));
  const { class: index, condition, ...options } = asked;
  const { transformer, losses: config, autoencoder, logvar, problem } = modules.source;
  checkCondition(modules, index, condition);
  const { signal, reporter, picture, warnings } = await readInputImage(
    modules,
    source,
    options,
    mostOf(modules),
  );
  const stage = await modules.autoencoder(signal);
  reporter.report('encode', 0, 2);
  const { tensors, left_out, ...losses } = await vqganLosses(
    {
      autoencoder: stage.model,
      config: config ?? usualLosses(autoencoder.kind === 'vq_model' ? 'vq' : 'kl'),
      discriminator: await modules.discriminator(signal),
      lpips: await modules.lpips(signal),
      logvar,
    },
    picture.input,
    { signal },
  );
  const { reconstruction, indices, logits_real: logits } = tensors;
  throwIfNotFinite(reconstruction.data, 'The reconstruction');
  reporter.report('encode', 1, 2);
  const logLikelihood =
    transformer && indices ? await likelihoodOf(modules, { indices, image: condition, index, signal }) : null;
  reporter.report('encode', 2, 2);
  const [original, made] = [renderDecoded(picture.input), renderDecoded(reconstruction)];
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
    psnr: psnr(original, made),
    original,
    reconstruction: made,
    seconds: reporter.elapsed,
    warnings: warnings.list,
  };
}

/** Beyond what the transformer sees at once each code has a window of its own: minutes or hours, to be asked for by a size. */
function mostOf(modules: VqganModel): Size | undefined {
  const side = sideOf(modules) * modules.downsampleFactor;
  return modules.source.transformer ? { width: side, height: side } : undefined;
}

/** Before anything is computed. */
function checkCondition(
  modules: VqganModel,
  index: number | undefined,
  condition: ImageSource | undefined,
): void {
  if (modules.source.transformer) resolveClass(modules.source.condition, index);
  if (condition !== undefined) modules.checkImageCondition();
}
