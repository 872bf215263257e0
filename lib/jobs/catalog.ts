/** The configured models as the pool takes them, and what a request means with them. */
import { randomInt } from 'node:crypto';
import { basename, extname } from 'node:path';
import type { z } from 'zod';
import { invalidOption, SafelightError } from '../errors.js';
import { starterModel } from '../models/open-model.js';
import type { LoadPipelineOptions } from '../pipelines/load-options.js';
import { Pipeline } from '../pipelines/pipeline.js';
import type { Json } from './json.js';
import { type ModelEntry, ModelPool, type PoolOptions } from './models.js';
import { type JobLimits, type JobSchemas, jobSchemas } from './schemas.js';
import { type Job, type JobRequest, jobTypes } from './types.js';

export type LoadedModel = { readonly kind: 'diffusion'; readonly pipeline: Pipeline };

/** A model as it is configured. */
export interface ConfiguredModel {
  readonly name: string;
  readonly path: string;
}

/** `NAME=PATH`, or a path alone, whose last part without its ending becomes the name. @throws INVALID_OPTION */
export function parseModel(text: string): ConfiguredModel {
  const at = text.indexOf('=');
  const path = at < 0 ? text : text.slice(at + 1);
  const name = at < 0 ? basename(text, extname(text)) : text.slice(0, at);
  if (!name || !path) throw invalidOption('model', 'NAME=PATH', text);
  return { name, path };
}

export const starter: ConfiguredModel = { name: 'starter', path: starterModel };

export class Catalog {
  readonly pool: ModelPool<Pipeline>;
  private readonly schemas: JobSchemas;

  /** @throws INVALID_OPTION for the same name twice or for none */
  constructor(
    readonly models: readonly ConfiguredModel[],
    loading: Pick<LoadPipelineOptions, 'backend' | 'storage' | 'threads' | 'memory'>,
    readonly limits: JobLimits,
    pool: PoolOptions = {},
  ) {
    const names = models.map(({ name }) => name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) throw invalidOption('model', 'names that differ', twice);
    if (models.length === 0) throw invalidOption('model', 'at least one', models);
    this.schemas = jobSchemas(limits);
    this.pool = new ModelPool(
      models.map(
        ({ name, path }): ModelEntry<Pipeline> => ({
          name,
          path,
          load: (signal, onProgress) =>
            Pipeline.load(path, {
              ...loading,
              ...(signal ? { signal } : {}),
              ...(onProgress ? { onProgress: ({ step, steps }) => onProgress(step, steps) } : {}),
            }),
        }),
      ),
      pool,
    );
  }

  /** What a request that names no model means. */
  get defaultModel(): string {
    return this.models[0]?.name ?? '';
  }

  /**
   * Checks a request, and settles what it leaves open: the model, and the seed, so that a job that runs again gives the same pictures.
   * @throws INVALID_OPTION naming the option, MODEL_NOT_FOUND
   */
  prepare({ type, model = this.defaultModel, options }: JobRequest): Pick<Job, 'model' | 'options'> {
    if (!jobTypes.includes(type)) throw invalidOption('type', `one of ${jobTypes.join(', ')}`, type);
    this.pool.entry(model);
    const checked = this.schemas[type].safeParse(options);
    if (!checked.success) throw badOptions(checked.error);
    const settled = { seed: randomInt(2 ** 32), ...checked.data } as Record<string, Json>;
    if (type === 'reconstruct') delete settled.seed;
    return { model, options: settled };
  }
}

function badOptions({ issues }: z.ZodError): SafelightError {
  const told = issues
    .slice(0, 3)
    .map(({ path, message }) => (path.length ? `${path.join('.')}: ${message}` : message));
  return new SafelightError('INVALID_OPTION', `The options are not right: ${told.join('; ')}`);
}
