/** Options of inpainting. */
import { invalidOption } from '../errors.js';
import type { ImageSource } from '../image/read.js';
import * as check from './check.js';

export interface MaskOptions {
  /** Where to repaint `init`: white is repainted, black stays. Of the picture's size, else it is resized. */
  readonly mask?: ImageSource;
  /** Softens the mask's edge: standard deviation of a Gaussian in pixels, 0 to 64; default 4. */
  readonly maskBlur?: number;
  /** What the repainted part begins from; default `original`. */
  readonly fill?: MaskFill;
  /** Crops to the mask and works at full size there (A1111's "Only masked"); default false. */
  readonly onlyMasked?: boolean;
  /** Pixels of surroundings around the mask that `onlyMasked` sees; default 32. */
  readonly padding?: number;
}

/** The surroundings' colours, what is there, the picture's own noise, or zeros. */
export type MaskFill = 'fill' | 'original' | 'noise' | 'nothing';
export const maskFills: readonly MaskFill[] = ['fill', 'original', 'noise', 'nothing'];

export interface MaskSettings {
  readonly source: ImageSource;
  readonly blur: number;
  readonly fill: MaskFill;
  readonly onlyMasked: boolean;
  readonly padding: number;
}

export const maskKeys = ['mask', 'maskBlur', 'fill', 'onlyMasked', 'padding'] as const;

export function resolveMask(options: MaskOptions & { readonly init?: unknown }): MaskSettings | undefined {
  const settings = {
    blur: check.number('maskBlur', options.maskBlur ?? 4, 0, 64),
    fill: check.oneOf('fill', options.fill ?? 'original', maskFills),
    onlyMasked: check.boolean('onlyMasked', options.onlyMasked ?? false),
    padding: check.integer('padding', options.padding ?? 32, 0, 2 ** 14),
  };
  if (options.mask === undefined) return undefined;
  if (options.init === undefined)
    throw invalidOption('init', 'a picture for the mask to lie on', options.init);
  return { ...settings, source: options.mask };
}
