/** Loading of an upscaler model for the second pass of hires fix. */
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { Upscaler } from '../upscale/upscaler.js';

/** Loads the model with the settings of the diffusion model. @throws as `Upscaler.load` */
export function loadUpscaler(
  path: string,
  { moduleSettings, warnings }: LoadedModel,
  signal: AbortSignal | undefined,
): Promise<Upscaler> {
  const { backend, threads, memory, precision, stockOps } = moduleSettings;
  return Upscaler.load(path, {
    ...{ backend, memory, precision, stockOps },
    ...(threads > 0 ? { threads } : {}),
    ...(signal ? { signal } : {}),
    onWarning: ({ code, message }) => warnings.add(code, message),
  });
}
