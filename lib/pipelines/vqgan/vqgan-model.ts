/** The modules of a model of codes, each loaded when it is first needed. */

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

/** An autoencoder with a codebook, or a KL one. */
export type FirstStage =
  | { readonly kind: 'vq_model'; readonly model: VQModel }
  | { readonly kind: 'autoencoder_kl'; readonly model: Autoencoder };

type Report = (done: number, total: number) => void;

export class VqganModel {
  private readonly firstStage: Lazy<FirstStage>;
  private readonly conditionStage: Lazy<VQModel>;
  private readonly writer: Lazy<LatentTransformer>;
  private readonly judge: Lazy<PatchDiscriminator | null>;
  private readonly perception: Lazy<Lpips | null>;
  private report: Report | undefined;

  private constructor(
    readonly source: VqganModelSource,
    /** How the model's codes are best drawn, as far as it says. */
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
    this.writer = new Lazy(
      'transformer',
      (signal) => this.loadTransformer(signal),
      (model) => model.dispose(),
    );
    const { discriminator, lpips } = source;
    this.judge = new Lazy(
      'discriminator',
      async (signal) => discriminator && PatchDiscriminator.load(discriminator, this.options(signal)),
      (model) => model?.dispose(),
    );
    this.perception = new Lazy(
      'perceptual loss',
      async (signal) => lpips && Lpips.load(lpips, this.options(signal)),
      (model) => model?.dispose(),
    );
  }

  /** Finds out what a model is; loads nothing. @throws as `openVqganModel` */
  static async open(
    path: string,
    options: OpenVqganOptions,
    settings: ModuleSettings,
    warnings = new Warnings(),
  ): Promise<VqganModel> {
    const source = await openVqganModel(path, options);
    return new VqganModel(source, await readVqganDefaults(source.path), settings, warnings);
  }

  /** Pixels a side that one code stands for. */
  get downsampleFactor(): number {
    return autoencoderDownsampleFactor(this.source.autoencoder.config);
  }

  /** How many different codes there are; null of a KL autoencoder, which has none. Known once the autoencoder is loaded. */
  get vocabulary(): number | null {
    const stage = this.firstStage.current;
    return stage?.kind === 'vq_model' ? stage.model.indexCount : null;
  }

  autoencoder(signal?: AbortSignal): Promise<FirstStage> {
    return this.firstStage.get(signal);
  }

  /** @throws UNSUPPORTED_MODEL for a KL autoencoder, which has no codes */
  async codebook(signal?: AbortSignal): Promise<VQModel> {
    this.checkCodebook();
    const stage = await this.firstStage.get(signal);
    if (stage.kind !== 'vq_model') throw this.noCodebook();
    return stage.model;
  }

  /** The autoencoder of pictures that codes are conditioned on; some models take their own. @throws UNSUPPORTED_MODEL */
  condition(signal?: AbortSignal): Promise<VQModel> {
    const { condition, autoencoder } = this.source;
    const own = condition.kind === 'image' && condition.autoencoder === autoencoder;
    return own ? this.codebook(signal) : this.conditionStage.get(signal);
  }

  /** @throws UNSUPPORTED_MODEL for a model without one */
  transformer(signal?: AbortSignal): Promise<LatentTransformer> {
    return this.writer.get(signal);
  }

  /** What the autoencoder was trained against; null where the model does not have it. */
  discriminator(signal?: AbortSignal): Promise<PatchDiscriminator | null> {
    return this.judge.get(signal);
  }

  /** Null where the model does not have it. */
  lpips(signal?: AbortSignal): Promise<Lpips | null> {
    return this.perception.get(signal);
  }

  /** In which the transformer writes codes. */
  get writingOrder(): OrderName {
    return this.source.transformer?.order ?? 'identity';
  }

  /** Loads the autoencoder now; what else there is when it is first needed. */
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

  /** @throws UNSUPPORTED_MODEL for an autoencoder alone */
  checkTransformer(): void {
    if (this.source.transformer === null) throw this.noTransformer();
  }

  /** @throws UNSUPPORTED_MODEL for a model that is not conditioned on pictures */
  checkImageCondition(): void {
    this.checkTransformer();
    if (this.source.condition.kind !== 'image') throw this.noImageCondition();
  }

  /** Of the modules loaded by now. */
  memory(): Record<string, MemoryInfo> {
    const found: Record<string, MemoryInfo> = {};
    if (this.firstStage.current) found.autoencoder = this.firstStage.current.model.memory();
    if (this.conditionStage.current) found.condition = this.conditionStage.current.memory();
    if (this.writer.current) found.transformer = this.writer.current.memory();
    if (this.judge.current) found.discriminator = this.judge.current.memory();
    if (this.perception.current) found.lpips = this.perception.current.memory();
    return found;
  }

  dispose(): void {
    const { firstStage, conditionStage, writer, judge, perception } = this;
    for (const module of [firstStage, conditionStage, writer, judge, perception]) module.dispose();
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
      `${this.source.path} has a KL autoencoder, without a codebook; take a VQ or Gumbel model`,
    );
  }

  private noImageCondition(): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `${this.source.path} is not conditioned on pictures (its condition: ${this.source.condition.kind}); take a model that is, or sample`,
    );
  }

  private noTransformer(): SafelightError {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      this.source.problem ??
        `${this.source.path} is an autoencoder alone; writing codes takes a checkpoint with transformer.*`,
    );
  }
}
