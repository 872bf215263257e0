/** Where a picture looks real and where it does not, to a discriminator of patches. */
import { checkFinite, checkTensor } from '../../tensor/check-tensor.js';
import { interpolate } from '../../tensor/interpolate.js';
import { checkRgb, type RgbImage, type RgbPixels } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';
import { overlayOf } from './attention-map.js';

export interface PatchMap {
  /** `[H, W]` of the picture's size, from 0 (surely made) over 0.5 (undecided) to 1 (surely real): the logistic function of the logits. */
  readonly map: Tensor;
  /** The map in false colours over the picture in gray. */
  readonly overlay: RgbImage;
}

/** @param logits `[1, h, w]` or `[h, w]` of one picture */
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
