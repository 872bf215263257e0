/** Options of inpainting. */
import { boolean, choice, image, integer, type OptionsOf, pair } from '../field.js';
import { apiLimits } from '../limits.js';

/** The surroundings' colors, what is there, the image's own noise, or zeros. In A1111's order. */
const fills = ['fill', 'original', 'noise', 'nothing'] as const;
export type MaskFill = (typeof fills)[number];

export const maskFields = {
  /** Says where `init` is repainted: white is repainted, black stays. It is resized to the image's size. */
  mask: image({ description: 'repaint only what is white here' }),
  /** Softens the mask's edge: standard deviation of a Gaussian in pixels, 0 to 64; default 4. A pair is across and down. */
  maskBlur: pair({
    description: "pixels of softness at the mask's edge; default 4",
    ...{ min: 0, max: 64, default: 4 },
    infotext: { label: 'Mask blur', always: true },
  }),
  /** Repaints what is black instead; default false. */
  maskInvert: boolean({
    description: 'repaint what is black there instead',
    default: false,
    words: ['Inpaint masked', 'Inpaint not masked'],
    infotext: { label: 'Mask mode' },
  }),
  /** Takes each pixel of the latent as wholly masked or not (default), or as much as the mask says. */
  maskRound: boolean({
    description: 'let the mask count by shades in the latent',
    default: true,
    infotext: { label: 'Mask round' },
  }),
  /** Content that the repainted part begins from; default `original`. */
  fill: choice(fills, {
    description: 'what the masked part begins from; default original',
    default: 'original',
    labels: { fill: 'fill', original: 'original', noise: 'latent noise', nothing: 'latent nothing' },
    flag: { argument: 'kind' },
    infotext: { label: 'Masked content', always: true },
  }),
  /** Crops to the mask and works at full size there (A1111's "Only masked"); default false. */
  onlyMasked: boolean({
    description: 'work at full size on the masked part alone',
    default: false,
    words: ['Whole picture', 'Only masked'],
    infotext: { label: 'Inpaint area' },
  }),
  /** Pixels of surroundings around the mask that `onlyMasked` sees; default 32. */
  padding: integer({
    description: 'pixels around it that are seen; default 32',
    ...{ min: 0, max: apiLimits.maxSide, default: 32 },
    infotext: { label: 'Masked area padding', always: true },
  }),
};

export type MaskOptions = OptionsOf<typeof maskFields>;
