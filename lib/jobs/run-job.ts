/**
 * Runs one job from its options to its result files, in a server or a worker. A job can safely run again:
 * result files have fixed names, and the seed was chosen when the job was submitted.
 */
import { invalidOption } from '../errors.js';
import { Pipeline } from '../pipelines/diffusion/pipeline.js';
import { VqganPipeline } from '../pipelines/vqgan/vqgan-pipeline.js';
import type { LoadedModel } from './models/catalog.js';
import type { ModelPool } from './models/pool.js';
import type { RunContext, RunOutcome } from './run/context.js';
import { runGeneration } from './run/generation.js';
import { runVqgan } from './run/vqgan.js';
import { runTrace } from './trace/run.js';
import { type Job, kindOfJob } from './types.js';

/** @throws errors of loading the model and of its pipeline */
export async function runJob(
  job: Job,
  pool: ModelPool<LoadedModel>,
  context: RunContext,
): Promise<RunOutcome> {
  const { pipeline, release } = await pool.use(job.model, context.signal, (step, steps) =>
    context.emit({ type: 'progress', data: { phase: 'load', step, steps, elapsed: 0 } }),
  );
  for (const warning of pipeline.warnings) context.emit({ type: 'warning', data: warning });
  try {
    const isVqgan = pipeline instanceof VqganPipeline;
    if (isVqgan !== (kindOfJob[job.type] === 'codes'))
      throw invalidOption('model', `a model that can run ${job.type} jobs`, job.model);
    if (pipeline instanceof Pipeline && job.type === 'inside') return await runTrace(job, pipeline, context);
    return await (isVqgan ? runVqgan(job, pipeline, context) : runGeneration(job, pipeline, context));
  } finally {
    release();
  }
}
