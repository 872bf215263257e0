/** A VQGAN model whose modules are loaded on first use. */

import type { MemoryInfo } from '../../binding/types.js';
import { autoencoderDownsampleFactor } from '../../checkpoint/config/diffusers/autoencoder.js';
import type { OrderName } from '../../checkpoint/config/types.js';
import type { FirstStageSource } from '../../checkpoint/model-descriptor.js';
import { SafelightError } from '../../errors.js';
import { Lazy } from '../../families/shared/lazy.js';
import type { ModuleSettings } from '../../families/shared/loaded-model.js';
import {
  type OpenVqganOptions,
  openVqganModel,
  type VqganModelSource,
} from '../../families/shared/vqgan/open-vqgan.js';
import { readVqganDefaults, type VqganDefaults } from '../../families/shared/vqgan/vqgan-defaults.js';
import { Autoencoder } from '../../modules/autoencoder.js';
import { LatentTransformer } from '../../modules/latent-transformer.js';
import { Lpips } from '../../modules/lpips.js';
import { PatchDiscriminator } from '../../modules/patch-discriminator.js';
import { VQModel } from '../../modules/vq-model.js';
import { type Warning, Warnings } from '../../warnings.js';
import { type OnProgress, ProgressReporter } from '../progress.js';

/** A loaded autoencoder with a codebook, or a KL autoencoder. */
export type FirstStage =
  | { readonly kind: 'vq_model'; readonly model: VQModel }
  | { readonly kind: 'autoencoder_kl'; readonly model: Autoencoder };

type Report = (done: number, total: number) => void;

export class VqganModel {
  private readonly firstStage: Lazy<FirstStage>;
  private readonly conditionStage: Lazy<VQModel>;
  private readonly lazyTransformer: Lazy<LatentTransformer>;
  private readonly lazyDiscriminator: Lazy<PatchDiscriminator | null>;
  private readonly lazyLpips: Lazy<Lpips | null>;
  private report: Report | undefined;

  private constructor(
    readonly source: VqganModelSource,
    /** Default sampling options stored with the model. */
    readonly defaults: VqganDefaults,
    private readonly settings: ModuleSettings,
    readonly warnings: Warnings,
  ) {
    this.firstStage = new Lazy(
      'autoencoder',
      (signal) => this.loadFirstStage(source.autoencoder, signal),
      ({ model }) => model.dispose(),
    );
    this.conditionStage = new Lazy(
      "condition's autoencoder",
      (signal) => this.loadCondition(signal),
      (model) => model.dispose(),
    );
    this.lazyTransformer = new Lazy(
      'transformer',
      (signal) => this.loadTransformer(signal),
      (model) => model.dispose(),
    );
    const { discriminator, lpips } = source;
    this.lazyDiscriminator = new Lazy(
      'discriminator',
      async (signal) => discriminator && PatchDiscriminator.load(discriminator, this.options(signal)),
      (model) => model?.dispose(),
    );
    this.lazyLpips = new Lazy(
      'perceptual loss',
      async (signal) => lpips && Lpips.load(lpips, this.options(signal)),
      (model) => model?.dispose(),
    );
  }

  /** Reads the description of a model without loading modules. @throws as `openVqganModel` */
  static async open(
    path: string,
    options: OpenVqganOptions,
    settings: ModuleSettings,
    warnings = new Warnings(),
  ): Promise<VqganModel> {
    const source = await openVqganModel(path, options);
    return new VqganModel(source, await readVqganDefaults(source.path), settings, warnings);
  }

  /** Image pixels per code along each side. */
  get downsampleFactor(): number {
    return autoencoderDownsampleFactor(this.source.autoencoder.config);
  }

  /** Number of distinct code indices; null for a KL autoencoder, or if the autoencoder is not loaded yet. */
  get vocabulary(): number | null {
    const stage = this.firstStage.current;
    return stage?.kind === 'vq_model' ? stage.model.indexCount : null;
  }

  /** Returns the autoencoder. */
  autoencoder(signal?: AbortSignal): Promise<FirstStage> {
    return this.firstStage.get(signal);
  }

  /** Returns the autoencoder with a codebook. @throws UNSUPPORTED_MODEL for a KL autoencoder */
  async codebook(signal?: AbortSignal): Promise<VQModel> {
    this.checkCodebook();
    const stage = await this.firstStage.get(signal);
    if (stage.kind !== 'vq_model') throw this.noCodebook();
    return stage.model;
  }

  /** Returns the autoencoder of conditioning images, which may be the model's autoencoder. @throws UNSUPPORTED_MODEL */
  condition(signal?: AbortSignal): Promise<VQModel> {
    const { condition, autoencoder } = this.source;
    const isShared = condition.kind === 'image' && condition.autoencoder === autoencoder;
    return isShared ? this.codebook(signal) : this.conditionStage.get(signal);
  }

  /** Returns the transformer. @throws UNSUPPORTED_MODEL for a model without one */
  transformer(signal?: AbortSignal): Promise<LatentTransformer> {
    return this.lazyTransformer.get(signal);
  }

  /** Returns the discriminator; null if the model has none. */
  discriminator(signal?: AbortSignal): Promise<PatchDiscriminator | null> {
    return this.lazyDiscriminator.get(signal);
  }

  /** Returns the perceptual loss; null if the model has none. */
  lpips(signal?: AbortSignal): Promise<Lpips | null> {
    return this.lazyLpips.get(signal);
  }

  /** Order of the codes in the transformer's sequence. */
  get codeOrderName(): OrderName {
    return this.source.transformer?.order ?? 'identity';
  }

  /** Loads the autoencoder now; other modules are loaded on first use. */
  async load(signal: AbortSignal | undefined, onProgress: OnProgress | undefined): Promise<void> {
    const reporter = new ProgressReporter(onProgress);
    this.report = (done, total) => reporter.report('load', done, total);
    try {
      await this.firstStage.get(signal);
    } finally {
      this.report = undefined;
    }
  }

  /** @throws UNSUPPORTED_MODEL for a KL autoencoder */
  checkCodebook(): void {
    if (this.source.autoencoder.kind !== 'vq_model') throw this.noCodebook();
  }

  /** @throws UNSUPPORTED_MODEL for a model without a transformer */
  checkTransformer(): void {
    if (this.source.transformer === null) throw this.noTransformer();
  }

  /** @throws UNSUPPORTED_MODEL for a model that is not image-conditional */
  checkImageCondition(): void {
    this.checkTransformer();
    if (this.source.condition.kind !== 'image') throw this.noImageCondition();
  }

  /** Returns the memory of the loaded modules, by name. */
  memory(): Record<string, MemoryInfo> {
    const modules: Record<string, MemoryInfo> = {};
    if (this.firstStage.current) modules.autoencoder = this.firstStage.current.model.memory();
    if (this.conditionStage.current) modules.condition = this.conditionStage.current.memory();
    if (this.lazyTransformer.current) modules.transformer = this.lazyTransformer.current.memory();
    if (this.lazyDiscriminator.current) modules.discriminator = this.lazyDiscriminator.current.memory();
    if (this.lazyLpips.current) modules.lpips = this.lazyLpips.current.memory();
    return modules;
  }

  dispose(): void {
    const { firstStage, conditionStage, lazyTransformer, lazyDiscriminator, lazyLpips } = this;
    for (const module of [firstStage, conditionStage, lazyTransformer, lazyDiscriminator, lazyLpips])
      module.dispose();
  }

  private async loadFirstStage(
    source: FirstStageSource,
    signal: AbortSignal | undefined,
  ): Promise<FirstStage> {
    const options = this.options(signal);
    return source.kind === 'vq_model'
      ? { kind: 'vq_model', model: await VQModel.load(source, options) }
      : { kind: 'autoencoder_kl', model: await Autoencoder.load(source, options) };
  }

  private async loadCondition(signal: AbortSignal | undefined): Promise<VQModel> {
    const { condition } = this.source;
    if (condition.kind !== 'image') throw this.noImageCondition();
    if (condition.autoencoder.kind !== 'vq_model') throw this.noCodebook();
    return VQModel.load(condition.autoencoder, this.options(signal));
  }

  private async loadTransformer(signal: AbortSignal | undefined): Promise<LatentTransformer> {
    const { transformer } = this.source;
    if (transformer === null) throw this.noTransformer();
    return LatentTransformer.load(transformer, this.options(signal));
  }

  private options(signal: AbortSignal | undefined) {
    const onProgress: Report = (done, total) => this.report?.(done, total);
    const onWarning = ({ code, message }: Warning): void => this.warnings.add(code, message);
    return { ...this.settings, signal, onProgress, onWarning };
  }

  private noCodebook(): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `${this.source.path} has a KL autoencoder without a codebook; use a VQ or Gumbel model`,
    );
  }

  private noImageCondition(): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `${this.source.path} is not image-conditional (its condition: ${this.source.condition.kind}); use an image-conditional model or sample without an image`,
    );
  }

  private noTransformer(): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      this.source.problem ??
        `${this.source.path} is an autoencoder without a transformer; sampling needs a checkpoint with transformer.*`,
    );
  }
}
