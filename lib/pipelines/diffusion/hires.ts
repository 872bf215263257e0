/** The second pass of hires fix: enlarges the first image, adds noise and runs the end of the schedule again. */

import { openUpscaler } from '../../checkpoint/open-upscaler.js';
import { combineSignals } from '../../errors.js';
import { imageTensor } from '../../families/shared/latents.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { crop } from '../../image/composite.js';
import { nearest } from '../../image/fit.js';
import { type ByteImage, resample } from '../../image/resample.js';
import { latentUpscalers } from '../../options/declarations/hires.js';
import { type HiresSettings, type HiresTarget, hiresTarget } from '../../options/settings/hires.js';
import { addNoise } from '../../sampling/noise-schedule.js';
import { interpolate } from '../../tensor/interpolate.js';
import { Tensor } from '../../tensor/tensor.js';
import { toPixels } from '../image-result.js';
import { checkSize, type Settings } from '../options.js';
import { upscaleTo } from '../upscale/upscale-to.js';
import { upscalerPath } from '../upscale/upscaler-folder.js';
import { codecOf } from './codec-of.js';
import { brownianRange, partialSigmas } from './denoising/sigmas.js';
import { loadUpscaler } from './hires-upscaler.js';
import type { Pass } from './plan.js';
import { type ImageBatch, imageNoise } from './seeds.js';
import { maskedEverywhere } from './text-to-image.js';

export interface HiresPlan {
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  /** Prepares the second pass from the latents `[B, C, h, w]` of the first; `finish` also aborts the upscaling. */
  pass(latents: Tensor, seeds: ImageBatch, finish?: AbortSignal): Promise<Pass>;
}

/**
 * Plans the second pass.
 * @throws INVALID_OPTION for an unsupported size or number of steps, and as `upscalerPath` and `openUpscaler`
 */
export async function planHires(
  loaded: LoadedModel,
  settings: Settings,
  hires: HiresSettings,
  first: { readonly width: number; readonly height: number },
): Promise<HiresPlan> {
  const { facts } = loaded;
  const { signal } = settings;
  const { sampling, upscaler } = hires;
  const model =
    typeof upscaler === 'object' ? await upscalerPath(upscaler.file, settings.files.upscalers) : undefined;
  if (model !== undefined) await openUpscaler(model);
  const target = hiresTarget(first.width, first.height, hires, facts.downsampleFactor);
  const { width, height } = target;
  checkSize({ width, height }, facts.downsampleFactor);
  const { noiseSchedule } = await loaded.denoiser(signal);
  const { alignYourSteps, latentChannels, downsampleFactor } = facts;
  const levels = partialSigmas(
    sampling,
    {
      ...{ noiseSchedule, alignYourSteps },
      shape: [1, latentChannels, height / downsampleFactor, width / downsampleFactor],
    },
    { steps: hires.steps ?? sampling.steps, strength: hires.strength, mode: 'exact' },
  );
  const { full, noiseSchedule: schedule, sigmas } = levels;
  const extra = await maskedEverywhere(loaded, width, height, signal);
  return {
    width,
    height,
    steps: sigmas.length - 1,
    pass: async (latents, seeds, finish) => {
      const enlarged = await enlarge(
        loaded,
        latents,
        { upscaler, model, sampling },
        target,
        combineSignals(signal, finish),
      );
      const [, channels = 0, h = 0, w = 0] = enlarged.shape;
      const noise = imageNoise(
        // Tensors passed by the caller have the size of the first pass.
        { ...settings, given: {} },
        seeds,
        [channels, h, w],
        facts.downsampleFactor,
        brownianRange(full),
      );
      const added = noise.first();
      const latent = Tensor.from(addNoise(schedule, enlarged.data, added, sigmas[0]!), enlarged.shape);
      return { latent, sigmas, noiseSchedule: schedule, noise, extra };
    },
  };
}

async function enlarge(
  loaded: LoadedModel,
  latents: Tensor,
  {
    upscaler,
    model: path,
    sampling,
  }: Pick<HiresSettings, 'upscaler' | 'sampling'> & { readonly model: string | undefined },
  target: HiresTarget,
  signal: AbortSignal | undefined,
): Promise<Tensor> {
  const { downsampleFactor } = loaded.facts;
  const [left, top] = [target.coverWidth - target.width, target.coverHeight - target.height].map(
    (extra) => Math.floor(extra / downsampleFactor / 2) * downsampleFactor,
  ) as [number, number];
  if (typeof upscaler === 'string' && upscaler !== 'lanczos' && upscaler !== 'nearest') {
    const mode = latentUpscalers[upscaler];
    const covered = interpolate(
      latents,
      target.coverHeight / downsampleFactor,
      target.coverWidth / downsampleFactor,
      mode,
    );
    const rows = [top / downsampleFactor, (top + target.height) / downsampleFactor] as const;
    return covered.slice(null, null, rows, [
      left / downsampleFactor,
      (left + target.width) / downsampleFactor,
    ]);
  }
  const { coverWidth, coverHeight } = target;
  const model = path === undefined ? undefined : await loadUpscaler(path, loaded, signal);
  const cover = (image: ByteImage): Promise<ByteImage> => {
    if (model) return upscaleTo(model, image, { width: coverWidth, height: coverHeight }, { signal });
    return upscaler === 'nearest'
      ? nearest(image, coverWidth, coverHeight, signal)
      : resample(image, coverWidth, coverHeight, 'lanczos', signal);
  };
  try {
    const codec = await codecOf(loaded, sampling.changes, signal);
    const [count = 0, ...shape] = latents.shape;
    const enlarged: Tensor[] = [];
    for (let i = 0; i < count; i++) {
      const decoded = await codec.decode(latents.at(i).reshape([1, ...shape]), { signal });
      const covered = await cover({ ...toPixels(decoded), channels: 3 });
      const cut = crop(covered, left, top, target.width, target.height);
      enlarged.push((await codec.encode(imageTensor(cut), { signal })).latents());
    }
    return Tensor.cat(enlarged);
  } finally {
    await model?.dispose();
  }
}
