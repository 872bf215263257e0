/** A finished image made larger: drawn again at a larger size, with its own prompt and settings, from itself. */
import type { About, ShownImage, ShownJob } from '../api/types.js';
import type { Request } from './request.js';

export interface Enlargement {
  /** How many times larger each side becomes. */
  readonly scale: number;
  /** How far the result may go from the image. */
  readonly strength: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Options of the first job that say how its own image came to be, not how one is drawn. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  ...['count', 'batch', 'width', 'height', 'hires', 'subseed', 'subseedStrength', 'seedResizeFrom'],
  ...['init', 'strength', 'resizeMode', 'posterior', 'initialNoiseMultiplier'],
  ...['mask', 'maskBlur', 'maskInvert', 'maskRound', 'fill', 'onlyMasked', 'padding'],
]);
const TYPES: ReadonlySet<string> = new Set(['text-to-image', 'image-to-image', 'inpaint']);

/** Whether a job was made of a prompt step by step, so that its images can be drawn again. */
export function canEnlarge({ type }: Pick<ShownJob, 'type'>): boolean {
  return TYPES.has(type);
}

/** The size of the result, on the model's grid. */
export function enlargedSize({ width, height }: Size, scale: number, factor: number): Size {
  const onGrid = (side: number): number => Math.max(factor, Math.round((side * scale) / factor) * factor);
  return { width: onGrid(width), height: onGrid(height) };
}

/** The model's grid: what sides are multiples of. */
export function gridOf(job: Pick<ShownJob, 'model'>, about: About | null): number {
  return about?.models.find(({ name }) => name === job.model)?.diffusion?.factor ?? 8;
}

/** Whether the server makes images of this size. */
export function isAllowed({ width, height }: Size, about: About | null): boolean {
  if (!about) return true;
  const { maxSide, maxPixels } = about.limits;
  return Math.max(width, height) <= maxSide && width * height <= maxPixels;
}

export function enlargeRequest(
  job: ShownJob,
  picture: ShownImage,
  { scale, strength }: Enlargement,
  about: About | null,
): Request {
  const kept = Object.entries(job.options).filter(([name]) => !LEFT_OUT.has(name));
  return {
    type: 'image-to-image',
    model: job.model,
    options: {
      ...Object.fromEntries(kept),
      ...(picture.seed === undefined ? {} : { seed: picture.seed }),
      ...enlargedSize(picture, scale, gridOf(job, about)),
      init: { job: job.id, image: picture.name },
      strength,
    },
  };
}
