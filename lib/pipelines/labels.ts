/** What A1111 calls the values of options, in the text of a picture and in its API. */

import type { Emphasis } from '../conditioning/emphasis.js';
import type { ResizeMode } from '../image/fit.js';
import type { HiresUpscaler } from './hires-options.js';
import type { MaskFill } from './mask-options.js';

export const upscalerLabels: Readonly<Record<HiresUpscaler, string>> = {
  latent: 'Latent',
  latent_antialiased: 'Latent (antialiased)',
  latent_bicubic: 'Latent (bicubic)',
  latent_bicubic_antialiased: 'Latent (bicubic antialiased)',
  latent_nearest: 'Latent (nearest)',
  latent_nearest_exact: 'Latent (nearest-exact)',
  lanczos: 'Lanczos',
  nearest: 'Nearest',
};

export const fillLabels: Readonly<Record<MaskFill, string>> = {
  fill: 'fill',
  original: 'original',
  noise: 'latent noise',
  nothing: 'latent nothing',
};

export const emphasisLabels: Readonly<Record<Emphasis, string>> = {
  original: 'Original',
  'no norm': 'No norm',
  ignore: 'Ignore',
  none: 'None',
};

/** In the order of A1111's numbers for them. */
export const resizeLabels: Readonly<Record<ResizeMode, string>> = {
  resize: 'Just resize',
  crop: 'Crop and resize',
  fill: 'Resize and fill',
  latent: 'Just resize (latent upscale)',
};

/** The value of a label, in any case. */
export function labelled<K extends string>(
  labels: Readonly<Record<K, string>>,
  label: string,
): K | undefined {
  const wanted = label.trim().toLowerCase();
  return (Object.keys(labels) as K[]).find((key) => labels[key].toLowerCase() === wanted);
}
