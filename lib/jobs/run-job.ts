/**
 * One job from its options to its files, in a server and in a worker alike. Safe to run again: results have fixed names, and the seed was
 * settled when the job was submitted.
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

/** @throws what loading the model and its calls throw */
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
      throw invalidOption('model', `one that does ${job.type}`, job.model);
    if (pipeline instanceof Pipeline && job.type === 'inside') return await runTrace(job, pipeline, context);
    return await (isVqgan ? runVqgan(job, pipeline, context) : runGeneration(job, pipeline, context));
  } finally {
    release();
  }
}
