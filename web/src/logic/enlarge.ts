/**
 * Larger versions of finished images: generated again at a larger size with the same prompt and settings, or upscaled with
 * a model, which keeps the content.
 */
import { maxUpscaledPixels } from '../../../lib/options/declarations/upscale.js';
import type { About, ApiImage, ApiJob } from '../api/types.js';
import { optionsOfImage } from './grid/cells.js';
import type { Request } from './request.js';

export interface Enlargement {
  /** Factor by which each side is enlarged. */
  readonly scale: number;
  /** Denoising strength: how much the result may differ from the image, from 0 to 1. */
  readonly strength: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Options of the original job that do not apply to the enlargement. */
const OMITTED: ReadonlySet<string> = new Set([
  ...['count', 'batch', 'width', 'height', 'hires', 'subseed', 'subseedStrength', 'seedResizeFrom'],
  ...['init', 'strength', 'resizeMode', 'posterior', 'initialNoiseMultiplier'],
  ...['mask', 'maskBlur', 'maskInvert', 'maskRound', 'fill', 'onlyMasked', 'padding'],
]);
const TYPES: ReadonlySet<string> = new Set(['text-to-image', 'image-to-image', 'inpaint', 'grid']);

/** Returns true if a job is of a type whose images can be enlarged. */
export function canEnlarge({ type }: Pick<ApiJob, 'type'>): boolean {
  return TYPES.has(type);
}

/** Returns the size of the result, rounded to multiples of `factor`. */
export function enlargedSize({ width, height }: Size, scale: number, factor: number): Size {
  const onGrid = (side: number): number => Math.max(factor, Math.round((side * scale) / factor) * factor);
  return { width: onGrid(width), height: onGrid(height) };
}

/** Returns the number of which the model requires sides to be multiples; 8 if unknown. */
export function gridOf(job: Pick<ApiJob, 'model'>, about: About | null): number {
  return about?.models.find(({ name }) => name === job.model)?.diffusion?.factor ?? 8;
}

/** Returns true if the server's limits allow images of this size. */
export function isAllowed({ width, height }: Size, about: About | null): boolean {
  if (!about) return true;
  const { maxSide, maxPixels } = about.limits;
  return Math.max(width, height) <= maxSide && width * height <= maxPixels;
}

export function enlargeRequest(
  job: ApiJob,
  image: ApiImage,
  { scale, strength }: Enlargement,
  about: About | null,
): Request {
  const options = Object.entries(optionsOfImage(job, image)).filter(([name]) => !OMITTED.has(name));
  return {
    type: 'image-to-image',
    model: job.model,
    options: {
      ...Object.fromEntries(options),
      ...(image.seed === undefined ? {} : { seed: image.seed }),
      ...enlargedSize(image, scale, gridOf(job, about)),
      init: { job: job.id, image: image.name },
      strength,
    },
  };
}

export interface Upscaling {
  /** Name of a model of the server. */
  readonly upscaler: string;
  readonly scale: number;
}

/** Returns the size of the upscaled image. */
export function upscaledSize({ width, height }: Size, scale: number): Size {
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

/** Returns true if the server's limits allow upscaled images of this size. */
export function isUpscalable({ width, height }: Size, about: About | null): boolean {
  return !about || width * height <= maxUpscaledPixels(about.limits);
}

export function upscaleRequest(job: ApiJob, image: ApiImage, { upscaler, scale }: Upscaling): Request {
  return { type: 'upscale', options: { upscaler, scale, image: { job: job.id, image: image.name } } };
}
