/**
 * Latent diffusion's models that draw beside a picture they are given as further channels: one repaints what a mask hides
 * (CompVis' `scripts/inpaint.py`), the other enlarges (its super-resolution; diffusers' `LDMSuperResolutionPipeline`). They begin
 * from noise alone.
 */
import { invalidOption, SafelightError } from '../../errors.js';
import { imageTensor } from '../../families/shared/latents.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { type ImageSource, readImage } from '../../image/read.js';
import { resample } from '../../image/resample.js';
import type { MaskSettings } from '../../options/settings/mask.js';
import { interpolate } from '../../tensor/interpolate.js';
import { Tensor } from '../../tensor/tensor.js';
import { checkSize, type InitSettings, type Settings } from '../options.js';
import { sizeFrom } from './image-to-image.js';
import { prepareMasked } from './inpaint.js';
import type { Plan } from './plan.js';
import { planFromNoise } from './text-to-image.js';

/** Whether a model needs a picture, and draws nothing without one. */
export function needsImage({ facts }: LoadedModel): boolean {
  return facts.extra === 'masked' || facts.extra === 'low_resolution';
}

/** @throws INVALID_OPTION for a picture or a mask that is missing, or is no use; FILE_NOT_FOUND, INVALID_IMAGE */
export async function planWithImage(loaded: LoadedModel, settings: Settings): Promise<Plan> {
  const { init, mask } = settings;
  const enlarges = loaded.facts.extra === 'low_resolution';
  if (init === undefined) {
    const what = enlarges ? 'a picture to enlarge' : 'a picture to repaint a part of';
    throw invalidOption('init', `${what}, which this model cannot do without,`, init);
  }
  if (enlarges) {
    if (mask !== undefined) throw unfit('mask', 'This model enlarges pictures, all of them');
    return planEnlargement(loaded, settings, init.source);
  }
  if (mask === undefined)
    throw invalidOption('mask', 'a picture that is white where this model is to repaint', mask);
  return planRepainting(loaded, settings, init, mask);
}

/** The picture lies beside the latent at the latent's own size: of `factor` times its size, unless another is asked for. */
async function planEnlargement(loaded: LoadedModel, settings: Settings, source: ImageSource): Promise<Plan> {
  const { downsampleFactor } = loaded.facts;
  const original = await readImage(source);
  const { width = original.width * downsampleFactor, height = original.height * downsampleFactor } = settings;
  checkSize({ width, height }, downsampleFactor);
  const small = await resample(
    original,
    width / downsampleFactor,
    height / downsampleFactor,
    'lanczos',
    settings.signal,
  );
  return planFromNoise(loaded, settings, { width, height, extra: imageTensor(small) });
}

async function planRepainting(
  loaded: LoadedModel,
  settings: Settings,
  { source, resizeMode }: InitSettings,
  mask: MaskSettings,
): Promise<Plan> {
  const { signal } = settings;
  const original = await readImage(source);
  const { downsampleFactor, defaults } = loaded.facts;
  // The reference works on images of twice the sides that the model was trained at.
  const most = { ...defaults, width: 2 * defaults.width, height: 2 * defaults.height };
  const { width, height } = sizeFrom(
    settings,
    original,
    { downsampleFactor, defaults: most },
    settings.warnings,
  );
  // What the masked part begins from is noise; the model sees nothing of it.
  const whole = { ...mask, fill: 'original', round: true } as const;
  const prepared = await prepareMasked(original, whole, width, height, resizeMode, signal);
  const hidden = Float32Array.from(prepared.mask!.data, (byte) => (byte >= 128 ? 1 : 0));
  const extra = await hiddenImage(loaded, imageTensor(prepared.image), hidden, signal);
  return { ...(await planFromNoise(loaded, settings, { width, height, extra })), finish: prepared.finish };
}

/**
 * What such a model sees: the latent of the picture, black where it is hidden, then where that is, from -1 to 1.
 * @param image `[1, 3, H, W]`
 * @param hidden `[H, W]`, 1 or 0
 * @returns `[1, C + 1, h, w]`
 */
async function hiddenImage(
  loaded: LoadedModel,
  image: Tensor,
  hidden: Float32Array,
  signal: AbortSignal | undefined,
): Promise<Tensor> {
  const [, , height = 0, width = 0] = image.shape;
  const seen = Tensor.from(
    image.data.map((value, i) => (hidden[i % hidden.length] === 1 ? -1 : value)),
    image.shape,
  );
  const codec = await loaded.codec(signal);
  const latent = (await codec.encode(seen, { signal })).latents();
  const [, , h = 0, w = 0] = latent.shape;
  const where = Tensor.from(
    hidden.map((value) => 2 * value - 1),
    [1, 1, height, width],
  );
  return Tensor.cat([latent, interpolate(where, h, w, 'nearest')], 1);
}

function unfit(option: string, why: string): SafelightError {
  return new SafelightError('INVALID_OPTION', `${why}; leave out ${option}`);
}
