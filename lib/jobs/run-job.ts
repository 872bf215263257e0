/**
 * One job from its options to its files: what the queue here and a worker elsewhere do alike. Safe to do again: results have fixed names,
 * and the seed was settled when the job was submitted.
 */
import { invalidOption } from '../errors.js';
import { Pipeline } from '../pipelines/diffusion/pipeline.js';
import { CodesPipeline } from '../pipelines/vqgan/vqgan-pipeline.js';
import type { LoadedModel } from './catalog.js';
import type { ModelPool } from './models.js';
import type { RunContext, RunOutcome } from './results.js';
import { runCodes } from './run-codes.js';
import { runGeneration } from './run-generation.js';
import { runInside } from './run-inside.js';
import { type Job, kindOfJob } from './types.js';

export type { RunContext, RunOutcome } from './results.js';

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
    const isCodes = pipeline instanceof CodesPipeline;
    if (isCodes !== (kindOfJob[job.type] === 'codes'))
      throw invalidOption('model', `one that does ${job.type}`, job.model);
    if (pipeline instanceof Pipeline && job.type === 'inside') return await runInside(job, pipeline, context);
    return await (isCodes ? runCodes(job, pipeline, context) : runGeneration(job, pipeline, context));
  } finally {
    release();
  }
}
