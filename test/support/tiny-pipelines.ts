/** Pipelines of the tiny models of test/reference/pipelines.py, each loaded once. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { Pipeline } from '../../lib/pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../lib/pipelines/model/load-options.js';
import type { GenerateOptions } from '../../lib/pipelines/options.js';
import { type TinyModel, writeFolder } from './tiny-models.js';

type LoadTiny = (
  model: TinyModel,
  options?: Pick<LoadPipelineOptions, 'memory' | 'stockOps'>,
) => Promise<Pipeline>;

/** Returns a function that loads a model with f32 weights. The pipelines are disposed after all tests of the file. */
export function tinyPipelines(): LoadTiny {
  const root = mkdtempSync(join(tmpdir(), 'safelight-tiny-'));
  const pipelines = new Map<string, Promise<Pipeline>>();
  afterAll(async () => {
    for (const pipeline of pipelines.values()) await (await pipeline).dispose();
    rmSync(root, { recursive: true, force: true });
  });
  return (model, options = {}) => {
    const key = `${model}-${options.memory}-${options.stockOps}`;
    const known = pipelines.get(key);
    if (known) return known;
    const pipeline = Pipeline.load(writeFolder(model, join(root, key)), { storage: 'f32', ...options });
    pipelines.set(key, pipeline);
    return pipeline;
  };
}

/** Returns the latents of all generated images. */
export async function latentOf(pipeline: Pipeline, options: GenerateOptions): Promise<Float32Array> {
  const { images } = await pipeline.generate(options);
  return Float32Array.from(images.flatMap((image) => [...image.latent.data]));
}
