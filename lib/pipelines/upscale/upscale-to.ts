/** Upscaling to a size, by as many runs of a model as A1111 makes. */
import { SafelightError } from '../../errors.js';
import { type ByteImage, resample } from '../../image/resample.js';
import type { UpscaleOptions } from './options.js';
import type { Upscaler } from './upscaler.js';

/** Most runs of the model over an image, as in A1111. */
const MAX_RUNS = 3;
/** Grid in pixels to which A1111 rounds sizes down. */
const GRID = 8;

export interface UpscaleToOptions extends Pick<UpscaleOptions, 'tile' | 'overlap' | 'signal'> {
  /** Ends the runs of the model; Lanczos resizes what has been upscaled so far. */
  readonly finish?: AbortSignal | undefined;
  /** Receives the finished tiles of a run, counted from 0. */
  readonly onProgress?: ((run: number, step: number, steps: number) => void) | undefined;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Runs a model over an image until it covers a size, at most three times, and resizes the result with Lanczos. A model of
 * scale 1 runs once. An image that already covers the size is only resized, unless it has that size.
 * @throws as `Upscaler.upscale`
 */
export async function upscaleTo(
  upscaler: Pick<Upscaler, 'info' | 'upscale'>,
  image: ByteImage,
  { width, height }: Size,
  { finish, onProgress, signal, ...tiles }: UpscaleToOptions = {},
): Promise<ByteImage> {
  let enlarged = image;
  const runs = runsFor(upscaler.info.scale, image, { width, height });
  const either = finish ? AbortSignal.any([finish, ...(signal ? [signal] : [])]) : signal;
  for (let run = 0; run < runs && !finish?.aborted; run++) {
    const { data, width: from, height: rows, channels } = enlarged;
    const progress = onProgress && {
      onProgress: ({ step, steps }: { step: number; steps: number }) => onProgress(run, step, steps),
    };
    try {
      enlarged = await upscaler.upscale(
        { data, width: from, height: rows, channels: channels === 4 ? 4 : 3 },
        { ...tiles, signal: either, ...progress },
      );
    } catch (error) {
      if (!wasFinished(error, finish, signal)) throw error;
    }
  }
  return resample(enlarged, width, height, 'lanczos', signal);
}

/** Returns the number of runs of a model of this scale that `upscaleTo` makes. */
export function runsFor(scale: number, image: Size, target: Size): number {
  const covers = (factor: number): boolean =>
    image.width * factor >= target.width && image.height * factor >= target.height;
  const isOnGrid = (from: number, to: number): boolean => to <= from && to > from - GRID;
  const isSame = isOnGrid(image.width, target.width) && isOnGrid(image.height, target.height);
  if (covers(1) && !isSame) return 0;
  if (scale === 1) return 1;
  let runs = 1;
  while (runs < MAX_RUNS && !covers(scale ** runs)) runs++;
  return runs;
}

function wasFinished(
  error: unknown,
  finish: AbortSignal | undefined,
  signal: AbortSignal | undefined,
): boolean {
  const isAborted = error instanceof SafelightError && error.code === 'ABORTED';
  return isAborted && finish?.aborted === true && signal?.aborted !== true;
}
