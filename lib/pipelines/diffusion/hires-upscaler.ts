/** Enlarging of the first image by an upscaler model, in the second pass of hires fix. */
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { type ByteImage, resample } from '../../image/resample.js';
import { Upscaler } from '../upscale/upscaler.js';

/** Most runs of the model over an image, as in A1111. */
const MAX_RUNS = 3;

/** Loads the model with the settings of the diffusion model. @throws as `Upscaler.load` */
export function loadUpscaler(
  path: string,
  { moduleSettings, warnings }: LoadedModel,
  signal: AbortSignal | undefined,
): Promise<Upscaler> {
  const { backend, threads, memory, stockOps } = moduleSettings;
  return Upscaler.load(path, {
    ...{ backend, memory, stockOps },
    ...(threads > 0 ? { threads } : {}),
    ...(signal ? { signal } : {}),
    onWarning: ({ code, message }) => warnings.add(code, message),
  });
}

/**
 * Runs a model over an image until it covers a size, at most three times, and resizes the result with Lanczos, as A1111
 * does. A model of scale 1 runs once.
 * @throws as `Upscaler.upscale`
 */
export async function upscaleTo(
  upscaler: Upscaler,
  image: ByteImage,
  width: number,
  height: number,
  signal: AbortSignal | undefined,
): Promise<ByteImage> {
  let enlarged = image;
  for (let run = 0; run < MAX_RUNS; run++) {
    if (run > 0 && (upscaler.info.scale === 1 || (enlarged.width >= width && enlarged.height >= height)))
      break;
    const { data, width: from, height: rows } = enlarged;
    enlarged = await upscaler.upscale({ data, width: from, height: rows, channels: 3 }, { signal });
  }
  return resample(enlarged, width, height, 'lanczos', signal);
}
