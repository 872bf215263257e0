/** The modules of a model: which there are, loaded when needed, freed together. */
import { basename, extname } from 'node:path';
import { chooseBackend } from '../../binding/backends.js';
import type { BackendChoice, MemoryInfo, StorageType } from '../../binding/types.js';
import { extraChannels, latentChannels, latentFactor } from '../../checkpoint/latent-source.js';
import type { ModelSource } from '../../checkpoint/model-descriptor.js';
import { withPrediction } from '../../checkpoint/open.js';
import type { ComponentWeights } from '../../checkpoint/weights/component.js';
import { Conditioner, type LoadedEncoder } from '../../conditioning/prompt-encoder.js';
import { SafelightError, unlessAborted } from '../../errors.js';
import { type LatentCodec, loadCodec } from '../../families/shared/latent-codec.js';
import { availableMemory, checkFit, shownBytes, TAKE_LESS, weightBytes } from '../../modules/fit.js';
import { cpuInstead, isMemoryError, type MemoryMode, planModule } from '../../modules/loaded-module.js';
import { moduleSources } from '../../modules/module-sources.js';
import { probePrediction } from '../../modules/prediction-probe.js';
import { TextEncoder } from '../../modules/text-encoder.js';
import { UNet } from '../../modules/unet.js';
import { DiscreteSchedule } from '../../sampling/denoiser.js';
import { loadTokenizer } from '../../tokenizers/load-tokenizer.js';
import { type Warning, Warnings } from '../../warnings.js';
import type { DenoiseModel } from '../diffusion/denoise-loop.js';
import { LatentPreview } from '../diffusion/preview.js';
import { type OnProgress, ProgressReporter } from '../progress.js';
import { Lazy } from './lazy.js';
import type { Engine, ModelFacts } from './loaded-model.js';

export type ModelPart = 'text_encoder' | 'unet' | 'autoencoder';
export const modelParts: readonly ModelPart[] = ['text_encoder', 'unet', 'autoencoder'];

export interface ModuleSettings {
  readonly backend: BackendChoice;
  readonly storage: StorageType | undefined;
  readonly threads: number;
  readonly memory: MemoryMode;
  readonly stockOps: boolean;
}

interface TextModules {
  readonly encoders: readonly LoadedEncoder[];
  readonly conditioner: Conditioner;
}

export class Modules implements Engine {
  readonly preview: LatentPreview;
  private readonly text: Lazy<TextModules>;
  private readonly unet: Lazy<DenoiseModel>;
  private readonly vae: Lazy<LatentCodec>;
  private report: ((done: number, total: number) => void) | undefined;

  /** @throws UNSUPPORTED_MODEL for a U-Net whose input is neither a latent nor that of an inpainting model */
  constructor(
    private model: ModelSource,
    private settings: ModuleSettings,
    readonly warnings = new Warnings(),
  ) {
    const { in_channels } = model.unet.config;
    if (this.facts.extra === 'picture') {
      throw new SafelightError(
        'UNSUPPORTED_MODEL',
        `${model.path} has a U-Net of ${in_channels} input channels (instruct-pix2pix), which no pipeline runs yet`,
      );
    }
    this.text = new Lazy(
      'text encoder',
      (signal) => this.loadText(signal),
      ({ encoders }) => {
        for (const { encoder } of encoders) encoder.dispose();
      },
    );
    this.unet = new Lazy(
      'U-Net',
      (signal) => this.loadUNet(signal),
      ({ unet }) => unet.dispose(),
    );
    this.vae = new Lazy(
      'autoencoder',
      (signal) => this.loadAutoencoder(signal),
      (vae) => vae.dispose(),
    );
    this.preview = new LatentPreview(() => this.vae.get());
  }

  available(where: Pick<MemoryInfo, 'backend' | 'device'>): number | undefined {
    return availableMemory(where);
  }

  /**
   * Leaves a GPU that `auto` chose for the CPU: modules are freed, and load there when they are next needed. Runs under way on the GPU
   * reject with DISPOSED. @returns false where there is nothing to fall back from
   */
  fallBackToCpu(error: unknown): boolean {
    if (!isMemoryError(error) || this.settings.backend !== 'auto') return false;
    if (chooseBackend('auto').backend === 'cpu') return false;
    this.warnings.add('BACKEND_FALLBACK', cpuInstead(error));
    this.settings = { ...this.settings, backend: 'cpu' };
    for (const module of [this.text, this.unet, this.vae]) module.reset();
    return true;
  }

  /** True once `fallBackToCpu` has left a GPU. */
  get fellBack(): boolean {
    return (
      this.settings.backend === 'cpu' && this.warnings.list.some(({ code }) => code === 'BACKEND_FALLBACK')
    );
  }

  /** Whether memory counts more than speed. */
  get lean(): boolean {
    return this.settings.memory === 'lean';
  }

  get source(): ModelSource {
    return this.model;
  }

  get facts(): ModelFacts {
    const { path, family, unet, autoencoder, defaults } = this.model;
    const factor = latentFactor(autoencoder);
    const side = unet.config.sample_size * factor;
    return {
      name: basename(path, extname(path) === '.safetensors' ? '.safetensors' : ''),
      family,
      unet: unet.config,
      condition: this.model.condition,
      latentChannels: latentChannels(autoencoder),
      extra: extraChannels(this.model, autoencoder),
      factor,
      defaults: { ...defaults, width: defaults.width ?? side, height: defaults.height ?? side },
    };
  }

  /** Loads what is asked for now; the rest when it is first needed. */
  async load(
    parts: readonly ModelPart[],
    signal: AbortSignal | undefined,
    onProgress: OnProgress | undefined,
  ): Promise<void> {
    const reporter = new ProgressReporter(onProgress);
    const loaders = {
      text_encoder: {
        run: () => this.text.get(signal),
        bytes: this.model.textEncoders.reduce((n, e) => n + bytesOf(e.weights), 0),
      },
      unet: { run: () => this.unet.get(signal), bytes: bytesOf(this.model.unet.weights) },
      autoencoder: { run: () => this.vae.get(signal), bytes: bytesOf(this.model.autoencoder.weights) },
    };
    const names = modelParts.filter((part) => parts.includes(part) && this.has(part));
    const wanted = names.map((part) => loaders[part]);
    await unlessAborted(
      this.checkLoadFits(names).catch((error: unknown) => {
        if (!this.fallBackToCpu(error)) throw error;
        return this.checkLoadFits(names);
      }),
      signal,
    );
    const total = wanted.reduce((n, { bytes }) => n + bytes, 0);
    let before = 0;
    reporter.report('load', 0, total);
    try {
      for (const { run, bytes } of wanted) {
        this.report = (done, all) =>
          reporter.report('load', Math.round(before + bytes * Math.min(1, done / Math.max(1, all))), total);
        await run();
        before += bytes;
        reporter.report('load', before, total);
      }
    } finally {
      this.report = undefined;
    }
  }

  /** @throws UNSUPPORTED_MODEL for a model that reads no text */
  async conditioner(signal?: AbortSignal): Promise<Conditioner> {
    this.requireText();
    return (await this.text.get(signal)).conditioner;
  }

  async encoders(signal?: AbortSignal): Promise<readonly LoadedEncoder[]> {
    this.requireText();
    return (await this.text.get(signal)).encoders;
  }

  denoiser(signal?: AbortSignal): Promise<DenoiseModel> {
    return this.unet.get(signal);
  }

  codec(signal?: AbortSignal): Promise<LatentCodec> {
    return this.vae.get(signal);
  }

  /** Of the modules loaded by now. */
  memory(): Record<string, MemoryInfo> {
    const found: Record<string, MemoryInfo> = {};
    this.text.current?.encoders.forEach(({ encoder }, i) => {
      found[i === 0 ? 'text_encoder' : `text_encoder_${i + 1}`] = encoder.memory();
    });
    if (this.unet.current) found.unet = this.unet.current.unet.memory();
    const codec = this.vae.current?.memory();
    if (codec) found.autoencoder = codec;
    return found;
  }

  dispose(): void {
    for (const module of [this.text, this.unet, this.vae]) module.dispose();
  }

  private has(part: ModelPart): boolean {
    return part !== 'text_encoder' || this.model.condition.kind === 'text';
  }

  private requireText(): void {
    if (this.has('text_encoder')) return;
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${this.model.path} reads no text, so there is no prompt to encode; take a model that does`,
    );
  }

  /** @throws DOES_NOT_FIT before anything is read */
  private async checkLoadFits(parts: readonly ModelPart[]): Promise<void> {
    const chosen = moduleSources(this.model).filter(({ part }) => parts.includes(part));
    const planned = await Promise.all(
      chosen.map(async ({ label, kind, config, weights }) => ({
        label,
        ...(await planModule(kind, config, weights, this.settings)),
      })),
    );
    const [first] = planned;
    if (first === undefined) return;
    const { where, hostWeights } = first;
    const lean = planned.reduce((sum, { plan }) => sum + weightBytes(plan, true), 0);
    const leaner = !this.lean;
    checkFit(
      `The model ${this.model.path}`,
      planned,
      this.available(hostWeights ? { backend: 'cpu' } : where),
      `${leaner ? `memory 'lean' needs ${shownBytes(lean)}${where.backend === 'cpu' ? '' : " of the host's memory"} for its weights; ` : ''}${TAKE_LESS}`,
    );
  }

  private get loadOptions() {
    return {
      ...this.settings,
      onProgress: (done: number, total: number): void => this.report?.(done, total),
      onWarning: ({ code, message }: Warning): void => this.warnings.add(code, message),
    };
  }

  private async loadText(signal: AbortSignal | undefined): Promise<TextModules> {
    const encoders: LoadedEncoder[] = [];
    try {
      for (const source of this.model.textEncoders) {
        const { max_position_embeddings: window } = source.config;
        const reading = loadTokenizer(source.tokenizer, { window, padId: source.padId });
        const tokenizer = await unlessAborted(reading, signal);
        const encoder = await TextEncoder.load(source, { ...this.loadOptions, signal });
        encoders.push({ encoder, tokenizer, source });
      }
    } catch (error) {
      for (const { encoder } of encoders) encoder.dispose();
      throw error;
    }
    const { family, forceZerosForEmptyPrompt } = this.model;
    const conditioner = new Conditioner({
      encoders,
      clipSkips: encoders.length === 1 && (family === 'sd1' || family === 'custom'),
      zeroEmptyNegative: forceZerosForEmptyPrompt,
    });
    return { encoders, conditioner };
  }

  private async loadUNet(signal: AbortSignal | undefined): Promise<DenoiseModel> {
    const unet = await UNet.load(this.model.unet, { ...this.loadOptions, signal });
    try {
      if (this.model.predictionUncertain)
        this.model = withPrediction(this.model, await probePrediction(unet, signal));
    } catch (error) {
      unet.dispose();
      throw error;
    }
    const { scheduler } = this.model;
    return {
      unet,
      schedule: DiscreteSchedule.fromConfig(scheduler),
      prediction: scheduler.prediction,
      clip: scheduler.clip_x0,
      oneByOne: this.lean,
    };
  }

  private loadAutoencoder(signal: AbortSignal | undefined): Promise<LatentCodec> {
    return loadCodec(this.model.autoencoder, { ...this.loadOptions, signal });
  }
}

/** Of the files that a module is loaded from. */
function bytesOf(weights: ComponentWeights): number {
  let bytes = 0;
  for (const { tensor } of weights.parameters.values()) bytes += tensor.length;
  return bytes;
}
