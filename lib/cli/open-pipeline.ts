/** Opens the pipeline that a command's options ask for. */

import type { Pipeline } from '../pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../pipelines/model/load-options.js';
import type { OnWarning } from '../warnings.js';
import { given, type ModelOptions, openOptions, type RunOptions } from './model-options.js';
import type { Report } from './progress.js';

export async function openPipeline(
  options: ModelOptions & RunOptions,
  control: {
    readonly signal: AbortSignal;
    readonly onProgress: (report: Report) => void;
    readonly onWarning: OnWarning;
    /** What is loaded at once; default all. */
    readonly parts?: LoadPipelineOptions['parts'];
  },
): Promise<Pipeline> {
  const { Pipeline } = await import('../pipelines/diffusion/pipeline.js');
  const { backend, storage, threads, memory } = options;
  return Pipeline.load(
    options.model,
    given({ ...openOptions(options), backend, storage, threads, memory, ...control }),
  );
}
