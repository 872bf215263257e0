/** A model as pipelines see it, whatever its family. */
import type { AppliedLoras } from '../../adapters/apply-loras.js';
import type { LoraSettings } from '../../adapters/lora-options.js';
import type { BackendChoice, MemoryInfo, StorageType } from '../../binding/types.js';
import type { GenerationDefaults } from '../../checkpoint/config/types.js';
import type { ExtraChannels } from '../../checkpoint/latent-source.js';
import type { ConditionSource, ModelDescriptor } from '../../checkpoint/model-descriptor.js';
import type { LoadedEncoder, PromptEncoder, TextSettings } from '../../conditioning/prompt-encoder.js';
import type { MemoryMode } from '../../modules/loaded-module.js';
import type { GuidancePair } from '../../sampling/guidance.js';
import type { Prediction } from '../../sampling/prediction.js';
import type { Warnings } from '../../warnings.js';
import type { DenoiseModel } from './denoise-model.js';
import type { LatentCodec } from './latent-codec.js';
import type { LatentPreview } from './preview.js';

/** Options with which every module of a model is loaded. */
export interface ModuleSettings {
  readonly backend: BackendChoice;
  readonly storage: StorageType | undefined;
  readonly threads: number;
  readonly memory: MemoryMode;
  readonly stockOps: boolean;
}

/** Names by which `nodes` and `tap` know the modules of a model. */
export const moduleNames = ['text_encoder', 'text_encoder_2', 'unet', 'encoder', 'decoder'] as const;
export type ModuleName = (typeof moduleNames)[number];

export interface ModelFacts {
  /** File or folder name without its extension. */
  readonly name: string;
  readonly family: string;
  readonly prediction: Prediction;
  /** Channels of a latent. */
  readonly latentChannels: number;
  /** Pixels a side that a place of the latent stands for. */
  readonly downsampleFactor: number;
  /** The input that says what to draw: a prompt, a class or nothing. */
  readonly condition: ConditionSource;
  /** Further channels of the network's input. */
  readonly extra: ExtraChannels;
  /** Widths of encoded text that it takes: of each token's state, and of the pooled text where it takes that. */
  readonly text: { readonly width: number; readonly pooledWidth: number | undefined };
  /** Points of the schedule "Align Your Steps"; default those of Stable Diffusion 1. */
  readonly alignYourSteps?: readonly number[] | undefined;
  /** The modules that `nodes` and `tap` know. */
  readonly modules: readonly ModuleName[];
  /** Complete: width and height too. */
  readonly defaults: GenerationDefaults & { readonly width: number; readonly height: number };
}

/** Prompts, or a class, to be encoded. */
export interface EncodeRequest {
  readonly prompt: string;
  readonly negative: string;
  readonly text: TextSettings;
  readonly class: number | undefined;
}

/** A model whose modules are loaded when they are first asked for. */
export interface LoadedModel {
  readonly source: ModelDescriptor;
  readonly facts: ModelFacts;
  readonly preview: LatentPreview;
  readonly warnings: Warnings;
  /** Counts memory more than speed: one guidance branch at a time. */
  readonly lean: boolean;
  /** True once `fallBackToCpu` has left a GPU. */
  readonly fellBack: boolean;
  /** Bytes that a device can give now; undefined where nobody knows. */
  available(where: Pick<MemoryInfo, 'backend' | 'device'>): number | undefined;
  /**
   * Loads these parts now; the others when they are first needed.
   * @param report bytes of weights that are loaded, and of all
   */
  load(
    parts: readonly string[] | undefined,
    signal: AbortSignal | undefined,
    report: (done: number, total: number) => void,
  ): Promise<void>;
  /** Encodes both sides of guidance. @throws NOT_FINITE, ABORTED, DISPOSED, and what loading a text encoder throws */
  encode(request: EncodeRequest, signal?: AbortSignal): Promise<GuidancePair>;
  /** @throws UNSUPPORTED_MODEL for a model that reads no text */
  promptEncoder(signal?: AbortSignal): Promise<PromptEncoder>;
  /** @throws UNSUPPORTED_MODEL for a model that reads no text */
  textEncoders(signal?: AbortSignal): Promise<readonly LoadedEncoder[]>;
  /** @param patches name of the patch set that the network runs with (see `adapt`) */
  denoiser(signal?: AbortSignal, patches?: string): Promise<DenoiseModel>;
  /**
   * Readies LoRAs for a call, which disposes of them at its end.
   * @throws ADAPTER_NOT_FOUND, ADAPTER_MISMATCH, UNSUPPORTED_ADAPTER, INVALID_FILE, OUT_OF_MEMORY, ABORTED, DISPOSED, and what loading a
   *   module throws
   */
  adapt(loras: readonly LoraSettings[], warnings: Warnings, signal?: AbortSignal): Promise<AppliedLoras>;
  codec(signal?: AbortSignal): Promise<LatentCodec>;
  /** Memory of the modules loaded by now, by name. */
  memory(): Record<string, MemoryInfo>;
  /**
   * Leaves a GPU that `auto` chose for the CPU: modules are freed, and load there when they are next needed. Runs under way on the GPU
   * reject with DISPOSED. @returns false where there is nothing to fall back from
   */
  fallBackToCpu(error: unknown): boolean;
  dispose(): void;
}
