/** Configured models, and the model and options that a request gets from them. */
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { invalidOption, SafelightError } from '../../errors.js';
import { type ModelKind, modelKind } from '../../families/registry.js';
import { isModelName } from '../../hub/locate.js';
import { Pipeline } from '../../pipelines/diffusion/pipeline.js';
import type { LoadPipelineOptions } from '../../pipelines/model/load-options.js';
import { VqganPipeline } from '../../pipelines/vqgan/vqgan-pipeline.js';
import type { Json } from '../json.js';
import { type JobLimits, type JobSchemas, jobSchemas, whatIsWrong } from '../schemas.js';
import { type Job, type JobRequest, type JobType, jobTypes, kindOfJob } from '../types.js';
import { type ModelEntry, ModelPool, type PoolOptions } from './pool.js';

export type LoadedModel = Pipeline | VqganPipeline;

/** A model as it is configured. */
export interface ConfiguredModel {
  readonly name: string;
  readonly path: string;
  /** Path below the models folder, with `/`, such as `sub/name.safetensors`; undefined for other models. */
  readonly file?: string | undefined;
  /** Default: detected from the headers of its files. */
  readonly kind?: ModelKind | undefined;
  /** Comes with the package and was not named: the last choice where a request names no model. */
  readonly bundled?: boolean | undefined;
}

export interface CatalogModel extends ConfiguredModel {
  /** Undefined where the file could not be read: the job that loads it says why. */
  readonly kind: ModelKind | undefined;
}

export type Loading = Pick<LoadPipelineOptions, 'backend' | 'storage' | 'threads' | 'memory'>;

/**
 * Parses `NAME=PATH`, or a path alone, whose last part without its ending becomes the name; `owner/name` of a pulled repository keeps its whole name.
 * @throws INVALID_OPTION
 */
export function parseModel(text: string): ConfiguredModel {
  const at = text.indexOf('=');
  const path = at < 0 ? text : text.slice(at + 1);
  const name = at < 0 ? nameOf(text) : text.slice(0, at);
  if (!name || !path) throw invalidOption('model', 'NAME=PATH or owner/name', text);
  return { name, path };
}

function nameOf(path: string): string {
  return isModelName(path) && !existsSync(path) ? path : basename(path, extname(path));
}

/** Types without a seed of their own: deterministic, or seeded by another job. */
const SEEDLESS: ReadonlySet<JobType> = new Set(['reconstruct', 'score', 'inside']);

export class Catalog {
  readonly pool: ModelPool<LoadedModel>;
  private readonly schemas: JobSchemas;

  private constructor(
    readonly models: readonly CatalogModel[],
    loading: Loading,
    readonly limits: JobLimits,
    pool: PoolOptions,
  ) {
    this.schemas = jobSchemas(limits);
    this.pool = new ModelPool(
      models.map((model) => entryOf(model, loading)),
      pool,
    );
  }

  /**
   * Detects the kind of each model from the headers of its files.
   * @throws INVALID_OPTION for the same name twice or for none
   */
  static async open(
    models: readonly ConfiguredModel[],
    loading: Loading,
    limits: JobLimits,
    pool: PoolOptions = {},
  ): Promise<Catalog> {
    const names = models.map(({ name }) => name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) throw invalidOption('model', 'names that differ', twice);
    if (models.length === 0) throw invalidOption('model', 'at least one', models);
    const known = await Promise.all(
      models.map(
        async (model): Promise<CatalogModel> => ({
          ...model,
          kind: model.kind ?? (await modelKind(model.path).catch(() => undefined)),
        }),
      ),
    );
    return new Catalog(known, loading, limits, pool);
  }

  /** Name of the model for a text-to-image request that names none. */
  get defaultModel(): string {
    return this.defaultFor('text-to-image') ?? this.models[0]?.name ?? '';
  }

  /** Returns the first model that can run this type. */
  defaultFor(type: JobType): string | undefined {
    const kind = kindOfJob[type];
    return this.ofKind(kind)[0]?.name;
  }

  /** Returns models of a kind in their configured order. A model that could not be read may be of any kind, and bundled ones come last. */
  ofKind(kind: ModelKind): CatalogModel[] {
    const known = this.models.filter((model) => model.kind === kind);
    return [
      ...known.filter(({ bundled }) => !bundled),
      ...this.models.filter((model) => model.kind === undefined),
      ...known.filter(({ bundled }) => bundled),
    ];
  }

  /**
   * Checks a request, and settles what it leaves open: the model, and the seed, so that a job that runs again gives the same images.
   * @throws INVALID_OPTION naming the option, MODEL_NOT_FOUND
   */
  prepare({ type, model, options }: JobRequest): Pick<Job, 'model' | 'options'> {
    if (!jobTypes.includes(type)) throw invalidOption('type', `one of ${jobTypes.join(', ')}`, type);
    const name = this.modelFor(type, model);
    const checked = this.schemas[type].safeParse(options);
    if (!checked.success)
      throw new SafelightError(
        'INVALID_OPTION',
        `The options are not right: ${whatIsWrong(checked.error.issues)}`,
      );
    const settled = { ...checked.data } as Record<string, Json>;
    const random = (seed: Json | undefined): Json =>
      seed === undefined || seed === -1 ? randomInt(2 ** 32) : seed;
    settled.seed = random(settled.seed);
    if (settled.subseedStrength || settled.subseed === -1) settled.subseed = random(settled.subseed);
    if (SEEDLESS.has(type)) delete settled.seed;
    return { model: name, options: settled };
  }

  private modelFor(type: JobType, asked: string | undefined): string {
    const name = asked ?? this.defaultFor(type);
    const able = this.ofKind(kindOfJob[type]).map((model) => model.name);
    if (name === undefined) {
      throw new SafelightError(
        'MODEL_NOT_FOUND',
        `None of the models here does ${type}; there are: ${this.pool.names.join(', ')}`,
      );
    }
    this.pool.entry(name);
    if (able.includes(name)) return name;
    throw new SafelightError(
      'INVALID_OPTION',
      `The model ${name} does not do ${type}; ${able.length > 0 ? `take ${able.join(', ')}` : 'no model here does'}`,
    );
  }
}

function entryOf({ name, path, kind }: CatalogModel, loading: Loading): ModelEntry<LoadedModel> {
  return {
    name,
    path,
    load: async (signal, onProgress) => {
      const options = {
        ...loading,
        ...(signal ? { signal } : {}),
        ...(onProgress
          ? { onProgress: ({ step, steps }: { step: number; steps: number }) => onProgress(step, steps) }
          : {}),
      };
      const isVqgan = (kind ?? (await modelKind(path))) === 'codes';
      return isVqgan ? VqganPipeline.load(path, options) : Pipeline.load(path, options);
    },
  };
}
