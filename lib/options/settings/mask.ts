/** Resolves the options of inpainting to the settings of the pipeline. */
import { invalidOption } from '../../errors.js';
import type { ImageSource } from '../../image/source.js';
import type { MaskFill, maskFields } from '../declarations/mask.js';
import type { CheckedOf } from '../field.js';

export interface MaskSettings {
  readonly source: ImageSource;
  /** Standard deviations in pixels, horizontal and vertical. */
  readonly blur: readonly [number, number];
  readonly invert: boolean;
  readonly round: boolean;
  readonly fill: MaskFill;
  readonly onlyMasked: boolean;
  readonly padding: number;
}

/** Returns undefined without a mask. @throws INVALID_OPTION for a mask without an initial image */
export function maskSettings(
  checked: CheckedOf<typeof maskFields>,
  init: ImageSource | undefined,
): MaskSettings | undefined {
  const { mask, maskBlur: blur, maskInvert: invert, maskRound: round, fill, onlyMasked, padding } = checked;
  if (mask === undefined) return undefined;
  if (init === undefined) throw invalidOption('init', 'an image (because a mask is given)', init);
  const both = typeof blur === 'number' ? ([blur, blur] as const) : blur;
  return { source: mask, blur: both, invert, round, fill, onlyMasked, padding };
}
