/** Options of inpainting. */
import { invalidOption } from '../errors.js';
import type { ImageSource } from '../image/read.js';
import * as check from './check.js';

export interface MaskOptions {
  /** Where to repaint `init`: white is repainted, black stays. Of the picture's size, else it is resized. */
  readonly mask?: ImageSource;
  /** Softens the mask's edge: standard deviation of a Gaussian in pixels, 0 to 64; default 4. A pair is across and down. */
  readonly maskBlur?: number | readonly [x: number, y: number];
  /** Repaints what is black instead; default false. */
  readonly maskInvert?: boolean;
  /** Takes each pixel of the latent as wholly masked or not (default), or as much as the mask says. */
  readonly maskRound?: boolean;
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
  /** Across and down. */
  readonly blur: readonly [number, number];
  readonly invert: boolean;
  readonly round: boolean;
  readonly fill: MaskFill;
  readonly onlyMasked: boolean;
  readonly padding: number;
}

export const maskKeys = [
  ...(['mask', 'maskBlur', 'maskInvert', 'maskRound'] as const),
  ...(['fill', 'onlyMasked', 'padding'] as const),
] as const;

export function resolveMask(options: MaskOptions & { readonly init?: unknown }): MaskSettings | undefined {
  const settings = {
    blur: resolveBlur(options.maskBlur ?? 4),
    invert: check.boolean('maskInvert', options.maskInvert ?? false),
    round: check.boolean('maskRound', options.maskRound ?? true),
    fill: check.oneOf('fill', options.fill ?? 'original', maskFills),
    onlyMasked: check.boolean('onlyMasked', options.onlyMasked ?? false),
    padding: check.integer('padding', options.padding ?? 32, 0, 2 ** 14),
  };
  if (options.mask === undefined) return undefined;
  if (options.init === undefined)
    throw invalidOption('init', 'a picture for the mask to lie on', options.init);
  return { ...settings, source: options.mask };
}

function resolveBlur(blur: number | readonly [number, number]): readonly [number, number] {
  const [x, y] = Array.isArray(blur) && blur.length === 2 ? blur : [blur, blur];
  return [check.number('maskBlur', x, 0, 64), check.number('maskBlur', y, 0, 64)];
}
