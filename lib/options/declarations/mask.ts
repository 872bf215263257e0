/** Options of inpainting. */
import { boolean, choice, image, integer, type OptionsOf, pair } from '../field.js';
import { apiLimits } from '../limits.js';

/** Colours of the surroundings, the original content, noise, or zeros; in A1111's order. */
const fills = ['fill', 'original', 'noise', 'nothing'] as const;
export type MaskFill = (typeof fills)[number];

export const maskFields = {
  /** Mask of `init`: white areas are repainted, black areas are kept. Resized to the size of the image. */
  mask: image({ description: 'mask image: white areas are repainted' }),
  /**
   * Blur of the mask: standard deviation of a Gaussian in pixels, 0 to 64; default 4. A pair is horizontal, vertical.
   */
  maskBlur: pair({
    description: 'blur of the mask in pixels; default 4',
    ...{ min: 0, max: 64, default: 4 },
    infotext: { label: 'Mask blur', always: true },
  }),
  /** Repaints the black areas instead; default false. */
  maskInvert: boolean({
    description: 'repaint the black areas instead',
    default: false,
    words: ['Inpaint masked', 'Inpaint not masked'],
    infotext: { label: 'Mask mode' },
  }),
  /** Rounds the mask to 0 or 1 per latent pixel (default true); false keeps its grey levels. */
  maskRound: boolean({
    description: 'round the mask to 0 or 1 per latent pixel; default true',
    off: 'keep the grey levels of the mask in the latent',
    default: true,
    infotext: { label: 'Mask round' },
  }),
  /** Initial content of the masked area; default `original`. */
  fill: choice(fills, {
    description: 'initial content of the masked area; default original',
    default: 'original',
    labels: { fill: 'fill', original: 'original', noise: 'latent noise', nothing: 'latent nothing' },
    flag: { argument: 'kind' },
    infotext: { label: 'Masked content', always: true },
  }),
  /** Crops the image to the mask and generates that region at the full size (A1111's "Only masked"); default false. */
  onlyMasked: boolean({
    description: 'generate only the masked region, at the full size',
    default: false,
    words: ['Whole picture', 'Only masked'],
    infotext: { label: 'Inpaint area' },
  }),
  /** Padding in pixels around the mask that `onlyMasked` includes in the crop; default 32. */
  padding: integer({
    description: 'pixels of surroundings included with the masked region; default 32',
    ...{ min: 0, max: apiLimits.maxSide, default: 32 },
    infotext: { label: 'Masked area padding', always: true },
  }),
};

export type MaskOptions = OptionsOf<typeof maskFields>;
