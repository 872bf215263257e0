/**
 * Masks of image to image: what the encoder sees, which part of the latent may change, and how the picture returns into the
 * one it came from. The order of things is A1111's.
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
  /** RGB at the size that is worked at. */
  readonly image: ByteImage;
  /** At that size, 255 where it is repainted; undefined without a mask. */
  readonly mask: ByteImage | undefined;
  /** The result, laid into the original. */
  readonly finish: (result: RgbImage) => Promise<RgbImage>;
}

/** A picture without a mask: only brought to its size. */
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

/** @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION for a mask without white where only the masked part is worked on */
export async function prepareMasked(
  original: ByteImage,
  settings: MaskSettings,
  width: number,
  height: number,
  mode: ResizeMode,
  signal?: AbortSignal,
): Promise<PreparedImage> {
  const read = maskOf(await readImage(settings.source, { alpha: 'keep' }), !settings.round);
  const white = settings.invert ? { ...read, data: read.data.map((value) => 255 - value) } : read;
  const sized = await fitTo(white, original.width, original.height, 'resize', signal);
  const mask = await blurMask(sized, settings.blur, signal);
  const prepared = settings.onlyMasked
    ? await prepareRegion(original, mask, settings.padding, width, height, signal)
    : await prepareWhole(original, mask, width, height, mode, signal);
  // Also where the latent is replaced after: the encoder must not see what is to go.
  if (settings.fill === 'original') return prepared;
  return { ...prepared, image: await fillMasked(prepared.image, prepared.mask!, signal) };
}

/** Outside the mask, softened to twice its strength, the original's pixels return. */
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

/** Only the mask's surroundings are worked on, enlarged to the full size, and pasted back. */
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
      'The mask has no white, so there is nothing to repaint with onlyMasked',
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
