/** Loading of diffusion models. */
import { openWith } from '../../checkpoint/open.js';
import { unlessAborted } from '../../errors.js';
import type { DiffusionFamily } from '../../families/family.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { ProgressReporter } from '../progress.js';
import { checkLoadOptions, type LoadPipelineOptions } from './load-options.js';

/**
 * Detects the family of a model and loads it.
 * @param families in the order of detection
 * @throws as `Pipeline.load`
 */
export async function loadModel(
  path: string,
  options: LoadPipelineOptions,
  families: readonly DiffusionFamily[],
): Promise<LoadedModel> {
  const { open, modules: settings, parts, signal, onProgress, warnings } = checkLoadOptions(options);
  const opened = await unlessAborted(openWith(path, open, families), signal);
  const loaded = opened.load(settings, warnings);
  const reporter = new ProgressReporter(onProgress);
  try {
    await loaded.load(parts, signal, (done, total) => reporter.report('load', done, total));
  } catch (error) {
    loaded.dispose();
    throw error;
  }
  return loaded;
}
