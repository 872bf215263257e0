/** Upscaler models of a server or worker: found by name, and loaded into the pool of models while jobs use them. */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { MemoryInfo } from '../../binding/types.js';
import { openUpscaler, type UpscalerFacts } from '../../checkpoint/open-upscaler.js';
import { defined } from '../../defined.js';
import { invalidOption, SafelightError } from '../../errors.js';
import { FileCache } from '../../files/file-cache.js';
import type { GenerationOptions } from '../../options/declarations/generation.js';
import { type Resampler, resamplers } from '../../options/declarations/upscale.js';
import { isUpscalerName } from '../../options/settings/hires.js';
import type { LoadPipelineOptions } from '../../pipelines/model/load-options.js';
import { checkUpscaleOptions } from '../../pipelines/upscale/options.js';
import { Upscaler } from '../../pipelines/upscale/upscaler.js';
import type { UpscalerEntry, UpscalerFolder } from '../../pipelines/upscale/upscaler-folder.js';
import type { Json } from '../json.js';
import type { Job } from '../types.js';
import type { Lease, ModelEntry, PooledPipeline } from './pool.js';

/** A loaded upscaler as the pool holds it. */
export class PooledUpscaler implements PooledPipeline {
  constructor(readonly upscaler: Upscaler) {}

  memory(): Record<string, MemoryInfo> {
    return { upscaler: this.upscaler.memory() };
  }

  dispose(): Promise<void> {
    return this.upscaler.dispose();
  }
}

/** The part of the pool that upscalers use. */
interface Leases {
  useFile(
    entry: ModelEntry<PooledUpscaler>,
    signal?: AbortSignal,
    onProgress?: (done: number, total: number) => void,
  ): Promise<Lease<PooledPipeline>>;
}

/** An upscaler of the folder, or the reason why it cannot be used. */
export interface ListedUpscaler extends UpscalerEntry {
  /** Path relative to the folder of models, with `/`. */
  readonly below: string;
  readonly facts?: UpscalerFacts;
  readonly error?: unknown;
}

/** Settings of all models of a server or worker. */
export type SharedSettings = Pick<
  LoadPipelineOptions,
  'backend' | 'storage' | 'threads' | 'memory' | 'precision'
>;

export class Upscalers {
  private readonly facts = new FileCache(async (path) => (await openUpscaler(path)).facts);

  /** @param folder undefined if the server has no folder of models */
  constructor(
    private readonly folder: UpscalerFolder | undefined,
    private readonly pool: Leases,
    private readonly settings: SharedSettings,
  ) {}

  /** True if the server has a folder of models. */
  get isConfigured(): boolean {
    return this.folder !== undefined;
  }

  /** Lists the models by name; none without a folder. */
  async entries(): Promise<readonly UpscalerEntry[]> {
    return (await this.folder?.list().catch(() => [])) ?? [];
  }

  /** Lists the models with their properties, which are read from the headers of their files; none without a folder. */
  async list(): Promise<ListedUpscaler[]> {
    const entries = await this.entries();
    return Promise.all(
      entries.map(async (entry): Promise<ListedUpscaler> => {
        const listed = { ...entry, below: belowModels(entry) };
        return this.facts.get(entry.path).then(
          (facts) => ({ ...listed, facts }),
          (error: unknown) => ({ ...listed, error }),
        );
      }),
    );
  }

  /** Finds a model by its name; paths are not accepted. @throws ADAPTER_NOT_FOUND */
  async find(name: string): Promise<UpscalerEntry> {
    if (this.folder) return this.folder.get(name);
    throw new SafelightError(
      'ADAPTER_NOT_FOUND',
      `There is no upscaler ${JSON.stringify(name.slice(0, 100))}, because no folder of models is set; start with --models FOLDER and put the file into its subfolder upscalers`,
    );
  }

  /**
   * Replaces the names of upscalers in a prepared request by those of their files, and fills in the scale of the model.
   * @throws ADAPTER_NOT_FOUND, INVALID_OPTION, and errors of `openUpscaler`
   */
  async settle(
    type: Job['type'],
    prepared: Pick<Job, 'model' | 'options'>,
  ): Promise<Pick<Job, 'model' | 'options'>> {
    if (type === 'upscale') return this.settleUpscaling(prepared.options);
    const hires = prepared.options.hires as Readonly<Record<string, Json>> | undefined;
    const upscaler = hires?.upscaler;
    if (typeof upscaler !== 'string' || isUpscalerName(upscaler)) return prepared;
    const { name } = await this.find(upscaler);
    return { ...prepared, options: { ...prepared.options, hires: { ...hires, upscaler: name } } };
  }

  /** Replaces the name of the upscaler of the second pass by its path, as pipelines take it. @throws ADAPTER_NOT_FOUND */
  async located<T extends Pick<GenerationOptions, 'hires'>>(options: T): Promise<T> {
    const { upscaler } = options.hires ?? {};
    if (upscaler === undefined || isUpscalerName(upscaler)) return options;
    const { path } = await this.find(upscaler);
    return { ...options, hires: { ...options.hires, upscaler: path } };
  }

  /** Leases a model from the pool, which loads it unless it is loaded. @throws ADAPTER_NOT_FOUND, as `Upscaler.load` */
  async use(
    name: string,
    signal: AbortSignal,
    onProgress: (done: number, total: number) => void,
  ): Promise<Lease<Upscaler>> {
    const entry = await this.find(name);
    const { size, mtimeMs } = await stat(entry.path);
    const { pipeline, release } = await this.pool.useFile(
      {
        name: belowModels(entry),
        path: entry.path,
        version: `${size} ${mtimeMs}`,
        load: async (loading, onLoaded) => {
          const control = {
            ...(loading ? { signal: loading } : {}),
            ...(onLoaded
              ? { onProgress: ({ step, steps }: { step: number; steps: number }) => onLoaded(step, steps) }
              : {}),
          };
          return new PooledUpscaler(
            await Upscaler.load(entry.path, { ...defined(this.settings), ...control }),
          );
        },
      },
      signal,
      onProgress,
    );
    return { pipeline: (pipeline as PooledUpscaler).upscaler, release };
  }

  private async settleUpscaling(options: Job['options']): Promise<Pick<Job, 'model' | 'options'>> {
    const { tile, overlap, size, crop, scale, second } = options as {
      readonly [name: string]: Json;
    } & { readonly tile?: number; readonly overlap?: number; readonly scale?: number };
    checkUpscaleOptions({ tile, overlap }, this.settings.memory ?? 'balanced');
    if (size !== undefined && scale !== undefined)
      throw invalidOption('scale', 'undefined together with size (which replaces it)', scale);
    if (crop === true && size === undefined)
      throw invalidOption('crop', 'false without a size to crop to', crop);
    const first = await this.settled(String(options.upscaler));
    const { upscaler, visibility } = (second ?? {}) as { upscaler?: string; visibility?: number };
    const other = upscaler === undefined ? undefined : await this.settled(upscaler);
    return {
      model: first.name,
      options: {
        ...options,
        upscaler: first.name,
        ...(size === undefined ? { scale: scale ?? first.scale } : {}),
        ...(other ? { second: { upscaler: other.name, visibility: visibility ?? 1 } } : {}),
      },
    };
  }

  private async settled(upscaler: string): Promise<{ readonly name: string; readonly scale: number }> {
    const resampler = resamplerNamed(upscaler);
    if (resampler) return { name: resampler, scale: 2 };
    const { name, path } = await this.find(upscaler);
    return { name, scale: (await this.facts.get(path)).scale };
  }
}

/** Returns the upscaler without a model of this name, in any case. */
export function resamplerNamed(name: string): Resampler | undefined {
  return (Object.keys(resamplers) as Resampler[]).find((key) => key === name.toLowerCase());
}

function belowModels({ folder, file }: UpscalerEntry): string {
  return `${basename(folder)}/${file}`;
}
