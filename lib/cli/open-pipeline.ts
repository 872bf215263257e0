/** Loads the pipeline that a command's options select. */

import type { Pipeline } from '../pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../pipelines/model/load-options.js';
import type { OnWarning } from '../warnings.js';
import {
  type ModelOptions,
  openOptions,
  type PromptFileFlags,
  promptFiles,
  type RunOptions,
  runOptions,
  withoutUndefined,
} from './model-options.js';
import type { Report } from './progress.js';

export async function openPipeline(
  options: ModelOptions & RunOptions & PromptFileFlags,
  control: {
    readonly signal: AbortSignal;
    readonly onProgress: (report: Report) => void;
    readonly onWarning: OnWarning;
    /** Components to load immediately; default all. */
    readonly parts?: LoadPipelineOptions['parts'];
  },
): Promise<Pipeline> {
  const { Pipeline } = await import('../pipelines/diffusion/pipeline.js');
  return Pipeline.load(
    options.model,
    withoutUndefined({
      ...openOptions(options),
      ...runOptions(options),
      ...promptFiles(options),
      ...control,
    }),
  );
}
