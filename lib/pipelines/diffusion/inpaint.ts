/**
 * Masks of image to image: preparation of the encoder's input and of the latent mask, and blending of the result into
 * the original. The order of operations follows A1111.
 */
import { SafelightError } from '../../errors.js';
import { blurMask } from '../../image/blur.js';
import { blend, crop, fillMasked, maskOf, paste } from '../../image/composite.js';
import { fitTo } from '../../image/fit.js';
import { readImage } from '../../image/read.js';
import type { ByteImage } from '../../image/resample.js';
import type { ResizeMode } from '../../image/resize-mode.js';
import type { MaskSettings } from '../../options/settings/mask.js';
import type { RgbImage } from '../../tensor/render.js';
import { expandRegion, maskRegion } from './crop-region.js';

export interface PreparedImage {
  /** RGB image at the size of the generation. */
  readonly image: ByteImage;
  /** Mask at that size, 255 in areas to repaint; undefined without a mask. */
  readonly mask: ByteImage | undefined;
  /** Blends the generated image into the original. */
  readonly finish: (result: RgbImage) => Promise<RgbImage>;
}

/** Resizes an image without a mask. */
export async function prepareImage(
  original: ByteImage,
  width: number,
  height: number,
  mode: ResizeMode,
  signal?: AbortSignal,
): Promise<PreparedImage> {
  const image = await fitTo(original, width, height, mode, signal);
  return { image, mask: undefined, finish: async (result) => result };
}

/**
 * Prepares an image with a mask: inverts, resizes and blurs the mask, crops with `onlyMasked`, and fills the masked
 * area.
 * @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION for a mask without white areas with `onlyMasked`
 */
export async function prepareMasked(
  original: ByteImage,
  settings: MaskSettings,
  width: number,
  height: number,
  mode: ResizeMode,
  signal?: AbortSignal,
): Promise<PreparedImage> {
  const source = maskOf(await readImage(settings.source, { alpha: 'keep' }), !settings.round);
  const oriented = settings.invert ? { ...source, data: source.data.map((value) => 255 - value) } : source;
  const sized = await fitTo(oriented, original.width, original.height, 'resize', signal);
  const mask = await blurMask(sized, settings.blur, signal);
  const prepared = settings.onlyMasked
    ? await prepareRegion(original, mask, settings.padding, width, height, signal)
    : await prepareWhole(original, mask, width, height, mode, signal);
  // Also for fills that replace the latent later: the encoder must not see the masked content.
  if (settings.fill === 'original') return prepared;
  return { ...prepared, image: await fillMasked(prepared.image, prepared.mask!, signal) };
}

/**
 * Prepares the full image. Outside the mask, doubled in strength to cover its soft edge, the original's pixels are
 * restored.
 */
async function prepareWhole(
  original: ByteImage,
  blurred: ByteImage,
  width: number,
  height: number,
  mode: ResizeMode,
  signal?: AbortSignal,
): Promise<PreparedImage> {
  const image = await fitTo(original, width, height, mode, signal);
  const mask = await fitTo(blurred, width, height, mode, signal);
  const overlay = { ...mask, data: mask.data.map((v) => Math.min(255, 2 * v)) };
  return { image, mask, finish: async (result) => blend(image, withChannels(result), overlay) };
}

/** Prepares only the region around the mask, enlarged to the size of the generation; the result is pasted back. */
async function prepareRegion(
  original: ByteImage,
  blurred: ByteImage,
  padding: number,
  width: number,
  height: number,
  signal?: AbortSignal,
): Promise<PreparedImage> {
  const region = maskRegion(blurred, padding);
  if (!region) {
    throw new SafelightError(
      'INVALID_OPTION',
      'The mask has no white areas, but onlyMasked needs an area to repaint',
    );
  }
  const { left, top, right, bottom } = expandRegion(region, width / height, original);
  const cut = (from: ByteImage) =>
    fitTo(crop(from, left, top, right - left, bottom - top), width, height, 'fill', signal);
  return {
    image: await cut(original),
    mask: await cut(blurred),
    finish: async (result) => {
      const part = await fitTo(withChannels(result), right - left, bottom - top, 'crop', signal);
      return blend(original, paste(original, part, left, top), blurred);
    },
  };
}

function withChannels(image: RgbImage): ByteImage {
  return { ...image, channels: 3 };
}
