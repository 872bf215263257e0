import type { OpenModelOptions } from '../../model-descriptor.js';
import { STABLE_DIFFUSION_SCHEDULER } from '../diffusers/scheduler.js';
import type { SchedulerConfig } from '../types.js';
import { readLdmScheduler } from './latent-diffusion.js';
import { readModelConfig } from './read-model-config.js';

/**
 * Reads the training settings of a Stable Diffusion checkpoint from the YAML of the `config` option; null without the
 * option.
 */
export async function readNamedScheduler(
  path: string,
  { config }: Pick<OpenModelOptions, 'config'>,
): Promise<SchedulerConfig | null> {
  if (config === undefined) return null;
  const params = (await readModelConfig(path, config))?.section('model.params') ?? null;
  return params && { ...STABLE_DIFFUSION_SCHEDULER, ...readLdmScheduler(params) };
}
