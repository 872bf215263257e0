/**
 * Runs one job from its options to its result files, in a server or a worker. A job can safely run again:
 * result files have fixed names, and the seed was chosen when the job was submitted.
 */
import { invalidOption } from '../errors.js';
import { VqganPipeline } from '../pipelines/vqgan/vqgan-pipeline.js';
import { runGrid } from './grid/run.js';
import type { Catalog } from './models/catalog.js';
import { PooledUpscaler } from './models/upscalers.js';
import type { RunContext, RunOutcome } from './run/context.js';
import { runGeneration } from './run/generation.js';
import { runUpscale } from './run/upscale.js';
import { runVqgan } from './run/vqgan.js';
import { runTrace } from './trace/run.js';
import { type Job, kindOfJob } from './types.js';

/** @throws errors of loading the model and of its pipeline */
export async function runJob(
  job: Job,
  { pool, upscalers }: Pick<Catalog, 'pool' | 'upscalers'>,
  context: RunContext,
): Promise<RunOutcome> {
  if (job.type === 'upscale') return runUpscale(job, upscalers, context);
  const { pipeline, release } = await pool.use(job.model, context.signal, (step, steps) =>
    context.emit({ type: 'progress', data: { phase: 'load', step, steps, elapsed: 0 } }),
  );
  if (pipeline instanceof PooledUpscaler) throw new TypeError('The pool returned an upscaler for a model');
  for (const warning of pipeline.warnings) context.emit({ type: 'warning', data: warning });
  try {
    const isVqgan = pipeline instanceof VqganPipeline;
    if (isVqgan !== (kindOfJob[job.type] === 'codes'))
      throw invalidOption('model', `a model that can run ${job.type} jobs`, job.model);
    if (isVqgan) return await runVqgan(job, pipeline, context);
    if (job.type === 'inside') return await runTrace(job, pipeline, context, upscalers);
    return await (job.type === 'grid' ? runGrid : runGeneration)(job, pipeline, context, upscalers);
  } finally {
    release();
  }
}
