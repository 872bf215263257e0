/** The configured models of a server or worker. Resolves the model and the options of each request. */
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { defined } from '../../defined.js';
import { invalidOption, SafelightError } from '../../errors.js';
import { type ModelKind, modelKind } from '../../families/registry.js';
import { isModelName } from '../../hub/locate.js';
import { Pipeline } from '../../pipelines/diffusion/pipeline.js';
import { openPromptFiles, type PromptFileOptions } from '../../pipelines/prompt-files.js';
import { VqganPipeline } from '../../pipelines/vqgan/vqgan-pipeline.js';
import { checkGrid } from '../grid/check.js';
import type { Json } from '../json.js';
import { cellSchema, describeIssues, type JobLimits, type JobSchemas, jobSchemas } from '../schemas.js';
import { type Job, type JobRequest, type JobType, jobTypes, kindOfJob } from '../types.js';
import { type ModelEntry, ModelPool, type PoolOptions } from './pool.js';
import { parsePreviewVaes } from './preview-vaes.js';
import { type PooledUpscaler, type SharedSettings, Upscalers } from './upscalers.js';

export type LoadedModel = Pipeline | VqganPipeline | PooledUpscaler;

/** A model from the configuration. */
export interface ConfiguredModel {
  readonly name: string;
  readonly path: string;
  /**
   * Path relative to the models folder, with `/`, such as `sub/name.safetensors`; undefined for models from
   * elsewhere.
   */
  readonly file?: string | undefined;
  /** Default: detected from the headers of its files. */
  readonly kind?: ModelKind | undefined;
  /**
   * True for a model that ships with the package and was not named explicitly. It comes last when a request
   * names no model.
   */
  readonly bundled?: boolean | undefined;
}

export interface CatalogModel extends ConfiguredModel {
  /** Undefined if the file could not be read; jobs that load it fail with the reason. */
  readonly kind: ModelKind | undefined;
}

export type Loading = SharedSettings &
  PromptFileOptions & {
    /** `NAME=PATH`: the tiny autoencoder that decodes the previews of a model. */
    readonly previewVaes?: readonly string[] | undefined;
  };

/**
 * Parses `NAME=PATH`, or a path alone, named after its last part without the extension. The `owner/name` of a
 * downloaded repository is used in full.
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

/** Job types without a seed: they are deterministic, or use the seed of an earlier job. */
const SEEDLESS: ReadonlySet<JobType> = new Set(['reconstruct', 'score', 'upscale', 'inside']);

export class Catalog {
  readonly pool: ModelPool<LoadedModel>;
  readonly upscalers: Upscalers;
  private readonly schemas: JobSchemas;
  /** Schema of a grid's cells. */
  private readonly cell: ReturnType<typeof cellSchema>;

  private constructor(
    readonly models: readonly CatalogModel[],
    loading: Loading,
    readonly limits: JobLimits,
    pool: PoolOptions,
  ) {
    this.schemas = jobSchemas(limits);
    this.cell = cellSchema(limits);
    const names = models.map(({ name }) => name);
    const previewVaes = parsePreviewVaes(loading.previewVaes ?? [], names);
    this.pool = new ModelPool(
      models.map((model) => entryOf(model, loading, previewVaes.get(model.name))),
      pool,
    );
    this.upscalers = new Upscalers(openPromptFiles(loading).upscalers, this.pool, sharedSettings(loading));
  }

  /**
   * Detects the kind of each model from the headers of its files.
   * @throws INVALID_OPTION if a name occurs twice, there are no models, or a tiny autoencoder is for none of them
   */
  static async open(
    models: readonly ConfiguredModel[],
    loading: Loading,
    limits: JobLimits,
    pool: PoolOptions = {},
  ): Promise<Catalog> {
    const names = models.map(({ name }) => name);
    const duplicate = names.find((name, i) => names.indexOf(name) !== i);
    if (duplicate !== undefined) throw invalidOption('model', 'a name used only once', duplicate);
    if (models.length === 0) throw invalidOption('model', 'at least one model', models);
    const detected = await Promise.all(
      models.map(
        async (model): Promise<CatalogModel> => ({
          ...model,
          kind: model.kind ?? (await modelKind(model.path).catch(() => undefined)),
        }),
      ),
    );
    return new Catalog(detected, loading, limits, pool);
  }

  /** Model used by text-to-image requests that name none. */
  get defaultModel(): string {
    return this.defaultFor('text-to-image') ?? this.models[0]?.name ?? '';
  }

  /** Returns the name of the first model that can run jobs of this type; undefined if there is none. */
  defaultFor(type: JobType): string | undefined {
    return this.capableOf(type)[0]?.name;
  }

  /**
   * Returns the models of a kind in configured order. Models that could not be read may be of any kind and are
   * included; bundled models come last.
   */
  ofKind(kind: ModelKind): CatalogModel[] {
    const detected = this.models.filter((model) => model.kind === kind);
    return [
      ...detected.filter(({ bundled }) => !bundled),
      ...this.models.filter((model) => model.kind === undefined),
      ...detected.filter(({ bundled }) => bundled),
    ];
  }

  /**
   * Validates a request and fills in the model and the seeds, so that a job that runs again generates the same
   * images.
   * @throws INVALID_OPTION with the name of the option, MODEL_NOT_FOUND
   */
  prepare({ type, model, options }: JobRequest): Pick<Job, 'model' | 'options'> {
    if (!jobTypes.includes(type)) throw invalidOption('type', `one of ${jobTypes.join(', ')}`, type);
    const name = type === 'upscale' ? noModel(model) : this.modelFor(type, model);
    const checked = this.schemas[type].safeParse(options);
    if (!checked.success)
      throw new SafelightError('INVALID_OPTION', `Invalid options: ${describeIssues(checked.error.issues)}`);
    const resolved = { ...checked.data } as Record<string, Json>;
    const random = (seed: Json | undefined): Json =>
      seed === undefined || seed === -1 ? randomInt(2 ** 32) : seed;
    resolved.seed = random(resolved.seed);
    if (resolved.subseedStrength || resolved.subseed === -1) resolved.subseed = random(resolved.subseed);
    if (SEEDLESS.has(type)) delete resolved.seed;
    if (type === 'grid') checkGrid(resolved, this.cell, this.limits);
    return { model: name ?? String(resolved.upscaler), options: resolved };
  }

  private capableOf(type: JobType): CatalogModel[] {
    const kind = kindOfJob[type];
    return kind === 'upscaler' ? [] : this.ofKind(kind);
  }

  private modelFor(type: JobType, requested: string | undefined): string {
    const name = requested ?? this.defaultFor(type);
    const capable = this.capableOf(type).map((model) => model.name);
    if (name === undefined) {
      throw new SafelightError(
        'MODEL_NOT_FOUND',
        `No configured model can run ${type} jobs; the models are: ${this.pool.names.join(', ')}`,
      );
    }
    this.pool.entry(name);
    if (capable.includes(name)) return name;
    throw new SafelightError(
      'INVALID_OPTION',
      `The model ${name} cannot run ${type} jobs; ${capable.length > 0 ? `use ${capable.join(', ')}` : 'no configured model can'}`,
    );
  }
}

/** @throws INVALID_OPTION for the model of an upscaling job, which the option `upscaler` names */
function noModel(model: string | undefined): undefined {
  if (model !== undefined) throw invalidOption('model', 'undefined for upscale jobs (set upscaler)', model);
}

function entryOf(
  { name, path, kind }: CatalogModel,
  loading: Loading,
  previewVae: string | undefined,
): ModelEntry<LoadedModel> {
  return {
    name,
    path,
    load: async (signal, onProgress) => {
      const options = {
        ...sharedSettings(loading),
        ...(signal ? { signal } : {}),
        ...(onProgress
          ? { onProgress: ({ step, steps }: { step: number; steps: number }) => onProgress(step, steps) }
          : {}),
      };
      const isVqgan = (kind ?? (await modelKind(path))) === 'codes';
      if (isVqgan) return VqganPipeline.load(path, options);
      const { previewVaes: _, ...settingsAndFiles } = loading;
      return Pipeline.load(path, { ...settingsAndFiles, ...options, ...defined({ previewVae }) });
    },
  };
}

function sharedSettings({ backend, storage, threads, memory, precision }: Loading): SharedSettings {
  return defined({ backend, storage, threads, memory, precision });
}
