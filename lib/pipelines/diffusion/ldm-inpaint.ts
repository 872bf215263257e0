/**
 * Image-conditional models of latent diffusion, which receive an image as additional input channels and start from
 * noise: inpainting (CompVis' `scripts/inpaint.py`) and super-resolution (diffusers' `LDMSuperResolutionPipeline`).
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
import { codecOf } from './codec-of.js';
import { sizeFrom } from './image-to-image.js';
import { prepareMasked } from './inpaint.js';
import type { Plan } from './plan.js';
import { planFromNoise } from './text-to-image.js';

/** True for models that require an image. */
export function needsImage({ facts }: LoadedModel): boolean {
  return facts.extra === 'masked' || facts.extra === 'low_resolution';
}

/**
 * Plans a generation with an image.
 * @throws INVALID_OPTION for a missing image or a missing or unsupported mask; FILE_NOT_FOUND, INVALID_IMAGE
 */
export async function planWithImage(loaded: LoadedModel, settings: Settings): Promise<Plan> {
  const { init, mask } = settings;
  const superResolution = loaded.facts.extra === 'low_resolution';
  if (init === undefined) {
    const purpose = superResolution ? 'super-resolution' : 'inpainting';
    throw invalidOption('init', `an image (required by this ${purpose} model)`, init);
  }
  if (superResolution) {
    if (mask !== undefined) throw unsupported('mask', 'This super-resolution model does not support masks');
    return planSuperResolution(loaded, settings, init.source);
  }
  if (mask === undefined)
    throw invalidOption(
      'mask',
      'an image that is white in areas to repaint (required by this inpainting model)',
      mask,
    );
  return planInpainting(loaded, settings, init, mask);
}

/**
 * Plans super-resolution: the image is concatenated with the latent at the size of the latent. The default output
 * size is that of the image times the downsampling factor.
 */
async function planSuperResolution(
  loaded: LoadedModel,
  settings: Settings,
  source: ImageSource,
): Promise<Plan> {
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

async function planInpainting(
  loaded: LoadedModel,
  settings: Settings,
  { source, resizeMode }: InitSettings,
  mask: MaskSettings,
): Promise<Plan> {
  const { signal } = settings;
  const original = await readImage(source);
  const { downsampleFactor, defaults } = loaded.facts;
  // The reference supports images of twice the side length of the training images.
  const largest = { ...defaults, width: 2 * defaults.width, height: 2 * defaults.height };
  const { width, height } = sizeFrom(
    settings,
    original,
    { downsampleFactor, defaults: largest },
    settings.warnings,
  );
  // The masked area starts from noise, so its initial content and soft mask values have no effect.
  const binaryMask = { ...mask, fill: 'original', round: true } as const;
  const prepared = await prepareMasked(original, binaryMask, width, height, resizeMode, signal);
  const hidden = Float32Array.from(prepared.mask!.data, (byte) => (byte >= 128 ? 1 : 0));
  const extra = await maskedInput(loaded, imageTensor(prepared.image), hidden, settings);
  return { ...(await planFromNoise(loaded, settings, { width, height, extra })), finish: prepared.finish };
}

/**
 * Returns the additional input channels: the latent of the image with masked pixels in black, then the mask from -1
 * to 1.
 * @param image `[1, 3, H, W]`
 * @param hidden `[H, W]`, 1 or 0
 * @returns `[1, C + 1, h, w]`
 */
async function maskedInput(
  loaded: LoadedModel,
  image: Tensor,
  hidden: Float32Array,
  { sampling, signal }: Pick<Settings, 'sampling' | 'signal'>,
): Promise<Tensor> {
  const [, , height = 0, width = 0] = image.shape;
  const seen = Tensor.from(
    image.data.map((value, i) => (hidden[i % hidden.length] === 1 ? -1 : value)),
    image.shape,
  );
  const codec = await codecOf(loaded, sampling.changes, signal);
  const latent = (await codec.encode(seen, { signal })).latents();
  const [, , h = 0, w = 0] = latent.shape;
  const mask = Tensor.from(
    hidden.map((value) => 2 * value - 1),
    [1, 1, height, width],
  );
  return Tensor.cat([latent, interpolate(mask, h, w, 'nearest')], 1);
}

function unsupported(option: string, reason: string): SafelightError {
  return new SafelightError('INVALID_OPTION', `${reason}; remove ${option}`);
}
