/** Interface of loaded models of all families. */
import type { AppliedLoras } from '../../adapters/apply-loras.js';
import type { LoraSettings } from '../../adapters/lora-options.js';
import type { BackendChoice, MemoryInfo, StorageType } from '../../binding/types.js';
import type { GenerationDefaults } from '../../checkpoint/config/types.js';
import type { ExtraChannels } from '../../checkpoint/latent-source.js';
import type { ConditionSource, ModelDescriptor } from '../../checkpoint/model-descriptor.js';
import type { LoadedEncoder, PromptEncoder, TextSettings } from '../../conditioning/prompt-encoder.js';
import type { Evaluations } from '../../conditioning/prompt-schedule.js';
import type { MemoryMode, Precision } from '../../modules/loaded-module.js';
import type { GuidanceSchedule } from '../../sampling/guidance.js';
import type { Prediction } from '../../sampling/prediction.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Warnings } from '../../warnings.js';
import type { DenoiseModel } from './denoise-model.js';
import type { LatentCodec } from './latent-codec.js';
import type { LatentPreview } from './preview.js';

/** Options for loading the modules of a model. */
export interface ModuleSettings {
  readonly backend: BackendChoice;
  readonly storage: StorageType | undefined;
  readonly threads: number;
  readonly memory: MemoryMode;
  readonly stockOps: boolean;
  readonly precision: Precision;
}

/** Names of modules accepted by `nodes` and `tap`. */
export const moduleNames = ['text_encoder', 'text_encoder_2', 'unet', 'encoder', 'decoder'] as const;
export type ModuleName = (typeof moduleNames)[number];

/** Properties of a model that pipelines depend on. */
export interface ModelFacts {
  /** File or folder name without its extension. */
  readonly name: string;
  readonly family: string;
  readonly prediction: Prediction;
  /** Channels of a latent. */
  readonly latentChannels: number;
  /** Image pixels per latent element along each side. */
  readonly downsampleFactor: number;
  /** Conditioning: text, class or none. */
  readonly condition: ConditionSource;
  /** `embedded` if the network receives the guidance scale as an input; default classifier-free guidance. */
  readonly guidance?: 'embedded' | undefined;
  /** Additional input channels of the network. */
  readonly extra: ExtraChannels;
  /** Widths of the text embedding per token, and of the pooled embedding (undefined if not used). */
  readonly text: { readonly width: number; readonly pooledWidth: number | undefined };
  /** Points of the schedule "Align Your Steps"; default those of Stable Diffusion 1. */
  readonly alignYourSteps?: readonly number[] | undefined;
  /** Modules accepted by `nodes` and `tap`. */
  readonly modules: readonly ModuleName[];
  /** Default options; width and height are always set. */
  readonly defaults: GenerationDefaults & { readonly width: number; readonly height: number };
}

/** A prompt that applies to a part of the image. */
export interface RegionRequest {
  readonly prompt: string;
  /** `[h, w]` of the size of the latent, 0 to 1. */
  readonly mask: Tensor;
}

/** Prompts or a class to encode for a pass. */
export interface EncodeRequest {
  readonly prompt: string;
  readonly negative: string;
  readonly text: TextSettings;
  readonly class: number | undefined;
  /** Evaluations of the pass, which steps in the prompts refer to. */
  readonly evaluations: Evaluations;
  readonly regions?: readonly RegionRequest[] | undefined;
}

/** A model whose modules are loaded on first use. */
export interface LoadedModel {
  readonly source: ModelDescriptor;
  readonly facts: ModelFacts;
  readonly preview: LatentPreview;
  readonly warnings: Warnings;
  /** Options with which modules are loaded; the backend is `cpu` after a fallback. */
  readonly moduleSettings: ModuleSettings;
  /** True with memory `lean`, which prefers low memory over speed, such as sequential guidance. */
  readonly lean: boolean;
  /** True after `fallBackToCpu` has moved the model from a GPU to the CPU. */
  readonly fellBack: boolean;
  /** Returns the bytes of memory available on a device; undefined if unknown. */
  available(where: Pick<MemoryInfo, 'backend' | 'device'>): number | undefined;
  /**
   * Loads parts now (default: all); others are loaded on first use.
   * @param report receives the bytes of weights loaded so far and in total
   */
  load(
    parts: readonly string[] | undefined,
    signal: AbortSignal | undefined,
    report: (done: number, total: number) => void,
  ): Promise<void>;
  /**
   * Encodes the conditioning of a pass.
   * @throws NOT_FINITE, ABORTED, DISPOSED, and errors of loading a text encoder
   */
  encode(request: EncodeRequest, signal?: AbortSignal): Promise<GuidanceSchedule>;
  /** Returns the prompt encoder. @throws UNSUPPORTED_MODEL for a model that is not text-conditional */
  promptEncoder(signal?: AbortSignal): Promise<PromptEncoder>;
  /** Returns the text encoders. @throws UNSUPPORTED_MODEL for a model that is not text-conditional */
  textEncoders(signal?: AbortSignal): Promise<readonly LoadedEncoder[]>;
  /** Returns the denoising network. @param patches name of the patch set to apply (see `adapt`) */
  denoiser(signal?: AbortSignal, patches?: string): Promise<DenoiseModel>;
  /**
   * Registers LoRAs for a call, which disposes them when it ends.
   * @throws ADAPTER_NOT_FOUND, ADAPTER_MISMATCH, UNSUPPORTED_ADAPTER, INVALID_FILE, OUT_OF_MEMORY, ABORTED, DISPOSED,
   *   and errors of loading a module
   */
  adapt(loras: readonly LoraSettings[], warnings: Warnings, signal?: AbortSignal): Promise<AppliedLoras>;
  codec(signal?: AbortSignal): Promise<LatentCodec>;
  /** Returns the memory of the loaded modules, by name. */
  memory(): Record<string, MemoryInfo>;
  /**
   * Falls back from a GPU chosen by `auto` to the CPU after a memory error: frees all modules, which are loaded on
   * the CPU when next used. Pending runs on the GPU reject with DISPOSED.
   * @returns false if the error is not a memory error or the model does not use a GPU chosen by `auto`
   */
  fallBackToCpu(error: unknown): boolean;
  dispose(): void;
}
