/** Maps of a patch discriminator's logits over an image. */
import { checkFinite, checkTensor } from '../../tensor/check-tensor.js';
import { interpolate } from '../../tensor/interpolate.js';
import { checkRgb, type RgbImage, type RgbPixels } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';
import { overlayOf } from './attention-map.js';

export interface PatchMap {
  /** `[H, W]` of the size of the image: the logistic function of the logits, from 0 (generated) to 1 (real). */
  readonly map: Tensor;
  /** The map in false colours over the image in grey. */
  readonly overlay: RgbImage;
}

/**
 * Computes the map of an image.
 * @param logits `[1, h, w]` or `[h, w]` of the image.
 * @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE
 */
export function patchMap(image: RgbPixels, logits: Tensor): PatchMap {
  const pixels = checkRgb('image', image);
  const rank = logits instanceof Tensor ? logits.shape.length : 0;
  checkTensor('logits', logits, rank === 2 ? ['h', 'w'] : [1, 'h', 'w']);
  checkFinite('logits', logits);
  const [height = 0, width = 0] = logits.shape.slice(-2);
  const real = Tensor.from(
    logits.data.map((logit) => 1 / (1 + Math.exp(-logit))),
    [height, width],
  );
  const map = interpolate(real, pixels.height, pixels.width, 'bilinear');
  return { map, overlay: overlayOf(pixels, map) };
}
