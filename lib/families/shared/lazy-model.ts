/**
 * A loaded model whose components are loaded on first use. `ModelSpec` defines how a family loads and combines them.
 */
import { type AppliedLoras, LoraApplier, type LoraTarget, noLoras } from '../../adapters/apply-loras.js';
import type { LoraSettings } from '../../adapters/lora-options.js';
import { chooseBackend } from '../../binding/backends.js';
import type { MemoryInfo } from '../../binding/types.js';
import type { ModelDescriptor } from '../../checkpoint/model-descriptor.js';
import type { ComponentWeights } from '../../checkpoint/weights/component.js';
import type { LoadedEncoder, PromptEncoder } from '../../conditioning/prompt-encoder.js';
import { SafelightError, unlessAborted } from '../../errors.js';
import { cpuInstead, isMemoryError, type LoadOptions, planModule } from '../../modules/loaded-module.js';
import {
  availableMemory,
  checkFit,
  REDUCE_WEIGHTS,
  shownBytes,
  weightBytes,
} from '../../modules/memory-fit.js';
import type { GuidanceSchedule } from '../../sampling/guidance.js';
import { type Warning, Warnings } from '../../warnings.js';
import type { DenoiseModel } from './denoise-model.js';
import type { LatentCodec } from './latent-codec.js';
import { Lazy } from './lazy.js';
import type { EncodeRequest, LoadedModel, ModelFacts, ModuleSettings } from './loaded-model.js';
import { LatentPreview } from './preview.js';

/** A part of a model that is loaded as a unit. */
export interface ComponentSpec<Model, T> {
  /** Name of the part in the option `parts` and in the model's components. */
  readonly part: string;
  /** Name in messages. */
  readonly label: string;
  /** Returns true if a model has this component; default true. */
  needed?(model: Model): boolean;
  /**
   * Loads the component.
   * @param settle replaces the model's description, for properties that are determined by loading
   */
  load(model: Model, options: LoadOptions, settle: (model: Model) => void): Promise<T>;
  release(loaded: T): void;
  /** Returns the memory of its modules by name. */
  memory(loaded: T): Readonly<Record<string, MemoryInfo | undefined>>;
}

/** Returns a component, loading it if necessary. */
export type GetComponent<C> = <K extends keyof C>(key: K, signal?: AbortSignal) => Promise<C[K]>;

/** Definition of how a family's model is composed of components `C`. */
export interface ModelSpec<Model extends ModelDescriptor, C> {
  readonly components: { readonly [K in keyof C]: ComponentSpec<Model, C[K]> };
  facts(model: Model): ModelFacts;
  encode(
    model: Model,
    get: GetComponent<C>,
    request: EncodeRequest,
    signal?: AbortSignal,
  ): Promise<GuidanceSchedule>;
  denoiser(
    model: Model,
    get: GetComponent<C>,
    settings: ModuleSettings,
    signal?: AbortSignal,
    patches?: string,
  ): Promise<DenoiseModel>;
  codec(model: Model, get: GetComponent<C>, signal?: AbortSignal): Promise<LatentCodec>;
  /** Returns the codec that decodes previews; without one, previews are approximated. */
  previewCodec?(model: Model, get: GetComponent<C>): Promise<LatentCodec> | undefined;
  /** Defined for families that support LoRAs. */
  loras?(model: Model, get: GetComponent<C>): LoraTarget;
  /** Defined for families whose prompts can be tokenized and encoded separately. */
  readonly prompts?: {
    encoder(model: Model, get: GetComponent<C>, signal?: AbortSignal): Promise<PromptEncoder>;
    textEncoders(model: Model, get: GetComponent<C>, signal?: AbortSignal): Promise<readonly LoadedEncoder[]>;
  };
}

export class LazyModel<Model extends ModelDescriptor, C extends object> implements LoadedModel {
  readonly preview: LatentPreview;
  private readonly slots: { readonly [K in keyof C]: Lazy<C[K]> };
  private loras: LoraApplier | undefined;
  private report: ((done: number, total: number) => void) | undefined;

  constructor(
    private model: Model,
    private readonly spec: ModelSpec<Model, C>,
    private settings: ModuleSettings,
    readonly warnings = new Warnings(),
  ) {
    const slots = {} as { [K in keyof C]: Lazy<C[K]> };
    for (const key in spec.components) {
      const component = spec.components[key];
      slots[key] = new Lazy(
        component.label,
        (signal) =>
          component.load(this.model, { ...this.loadOptions, signal }, (settled) => {
            this.model = settled;
          }),
        (loaded) => component.release(loaded),
      );
    }
    this.slots = slots;
    this.preview = new LatentPreview(
      () => this.codec(),
      () => this.spec.previewCodec?.(this.model, this.get),
    );
  }

  available(where: Pick<MemoryInfo, 'backend' | 'device'>): number | undefined {
    return availableMemory(where);
  }

  fallBackToCpu(error: unknown): boolean {
    if (!isMemoryError(error) || this.settings.backend !== 'auto') return false;
    if (chooseBackend('auto').backend === 'cpu') return false;
    this.warnings.add('BACKEND_FALLBACK', cpuInstead(error));
    this.settings = { ...this.settings, backend: 'cpu' };
    for (const key in this.slots) this.slots[key].reset();
    return true;
  }

  get fellBack(): boolean {
    return (
      this.settings.backend === 'cpu' && this.warnings.list.some(({ code }) => code === 'BACKEND_FALLBACK')
    );
  }

  get moduleSettings(): ModuleSettings {
    return this.settings;
  }

  get lean(): boolean {
    return this.settings.memory === 'lean';
  }

  get source(): Model {
    return this.model;
  }

  get facts(): ModelFacts {
    return this.spec.facts(this.model);
  }

  async load(
    parts: readonly string[] | undefined,
    signal: AbortSignal | undefined,
    report: (done: number, total: number) => void,
  ): Promise<void> {
    const wanted = (Object.keys(this.slots) as Extract<keyof C, string>[]).filter((key) => {
      const { part, needed } = this.spec.components[key];
      return (needed?.(this.model) ?? true) && (parts === undefined || parts.includes(part));
    });
    const names = wanted.map((key) => this.spec.components[key].part);
    await unlessAborted(
      this.checkLoadFits(names).catch((error: unknown) => {
        if (!this.fallBackToCpu(error)) throw error;
        return this.checkLoadFits(names);
      }),
      signal,
    );
    const bytes = names.map((part) => this.bytesOf(part));
    const total = bytes.reduce((sum, n) => sum + n, 0);
    let before = 0;
    report(0, total);
    try {
      for (const [i, key] of wanted.entries()) {
        const partBytes = bytes[i]!;
        this.report = (done, all) =>
          report(Math.round(before + partBytes * Math.min(1, done / Math.max(1, all))), total);
        await this.slots[key].get(signal);
        before += partBytes;
        report(before, total);
      }
    } finally {
      this.report = undefined;
    }
  }

  encode(request: EncodeRequest, signal?: AbortSignal): Promise<GuidanceSchedule> {
    return this.spec.encode(this.model, this.get, request, signal);
  }

  async promptEncoder(signal?: AbortSignal): Promise<PromptEncoder> {
    return this.requirePrompts().encoder(this.model, this.get, signal);
  }

  async textEncoders(signal?: AbortSignal): Promise<readonly LoadedEncoder[]> {
    return this.requirePrompts().textEncoders(this.model, this.get, signal);
  }

  async denoiser(signal?: AbortSignal, patches?: string): Promise<DenoiseModel> {
    return this.spec.denoiser(this.model, this.get, this.settings, signal, patches);
  }

  async adapt(
    loras: readonly LoraSettings[],
    warnings: Warnings,
    signal?: AbortSignal,
  ): Promise<AppliedLoras> {
    const target = this.loras ? undefined : this.spec.loras?.(this.model, this.get);
    if (target) this.loras = new LoraApplier(target, !this.lean);
    if (this.loras) return this.loras.apply(loras, warnings, signal);
    if (loras.length === 0) return noLoras;
    throw new SafelightError(
      'UNSUPPORTED_ADAPTER',
      `${this.model.path} is of family ${this.model.family}, which does not support LoRAs; remove loras`,
    );
  }

  codec(signal?: AbortSignal): Promise<LatentCodec> {
    return this.spec.codec(this.model, this.get, signal);
  }

  memory(): Record<string, MemoryInfo> {
    const modules: Record<string, MemoryInfo> = {};
    for (const key in this.slots) {
      const { current } = this.slots[key];
      if (current === undefined) continue;
      for (const [name, info] of Object.entries(this.spec.components[key].memory(current)))
        if (info) modules[name] = info;
    }
    return modules;
  }

  dispose(): void {
    for (const key in this.slots) this.slots[key].dispose();
  }

  private readonly get: GetComponent<C> = (key, signal) => this.slots[key].get(signal);

  private requirePrompts(): NonNullable<ModelSpec<Model, C>['prompts']> {
    const { prompts } = this.spec;
    if (prompts && this.model.condition.kind === 'text') return prompts;
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${this.model.path} is not text-conditional and has no text encoder; use a text-conditional model`,
    );
  }

  /** Returns the bytes of a part's tensors in the model's files. */
  private bytesOf(part: string): number {
    const components = this.model.components.filter((component) => component.part === part);
    return components.reduce((sum, { weights }) => sum + fileBytes(weights), 0);
  }

  /** Checks that the weights of parts fit in memory, before any are read. @throws DOES_NOT_FIT */
  private async checkLoadFits(parts: readonly string[]): Promise<void> {
    const chosen = this.model.components.filter(({ part }) => parts.includes(part));
    const planned = await Promise.all(
      chosen.map(async ({ label, kind, config, weights }) => ({
        label,
        ...(await planModule(kind, { ...config }, weights, this.settings)),
      })),
    );
    const [first] = planned;
    if (first === undefined) return;
    const { where, hostWeights } = first;
    const lean = planned.reduce((sum, { plan }) => sum + weightBytes(plan, true), 0);
    const canUseLean = !this.lean;
    checkFit(
      `The model ${this.model.path}`,
      planned,
      this.available(hostWeights ? { backend: 'cpu' } : where),
      `${canUseLean ? `memory 'lean' needs ${shownBytes(lean)}${where.backend === 'cpu' ? '' : ' of host memory'} for the weights; ` : ''}${REDUCE_WEIGHTS}`,
    );
  }

  private get loadOptions(): LoadOptions {
    return {
      ...this.settings,
      onProgress: (done: number, total: number): void => this.report?.(done, total),
      onWarning: ({ code, message }: Warning): void => this.warnings.add(code, message),
    };
  }
}

function fileBytes(weights: ComponentWeights): number {
  let bytes = 0;
  for (const { tensor } of weights.parameters.values()) bytes += tensor.length;
  return bytes;
}
