/** Components of U-Net models: text encoders, U-Net and latent codec. */
import { basename, extname } from 'node:path';
import type { SchedulerConfig } from '../../../checkpoint/config/types.js';
import { extraChannels, latentChannels, latentDownsampleFactor } from '../../../checkpoint/latent-source.js';
import type { ModelSource } from '../../../checkpoint/model-descriptor.js';
import {
  ClipPromptEncoder,
  type LoadedEncoder,
  type PromptEncoder,
} from '../../../conditioning/prompt-encoder.js';
import { SafelightError, unlessAborted } from '../../../errors.js';
import type { LoadOptions } from '../../../modules/loaded-module.js';
import { probePrediction } from '../../../modules/prediction-probe.js';
import { TextEncoder } from '../../../modules/text-encoder.js';
import { UNet } from '../../../modules/unet.js';
import { DiscreteSchedule } from '../../../sampling/discrete-schedule.js';
import { loadTokenizer } from '../../../tokenizers/load-tokenizer.js';
import type { Warnings } from '../../../warnings.js';
import { encodeGuidance } from '../guidance-schedule.js';
import { type LatentCodec, loadCodec } from '../latent-codec.js';
import { type ComponentSpec, LazyModel, type ModelSpec } from '../lazy-model.js';
import { type LoadedModel, type ModelFacts, type ModuleSettings, moduleNames } from '../loaded-model.js';
import { loraTarget } from './lora-target.js';
import { type UNetFamilyFacts, withPrediction } from './unet-model.js';
import { UNetNetwork } from './unet-network.js';

export interface UNetFamily extends UNetFamilyFacts {
  /** True if clip skip selects the hidden state of the text encoder (SD1). */
  readonly clipSkip?: boolean;
  /** Number of time ids of the U-Net: 6 for SDXL, 5 for its refiner. */
  readonly timeIds?: number;
  /** Points of the schedule "Align Your Steps"; default those of Stable Diffusion 1. */
  readonly alignYourSteps?: readonly number[];
}

interface TextModules {
  readonly encoders: readonly LoadedEncoder[];
  readonly promptEncoder: PromptEncoder;
}

interface UNetModules {
  readonly text: TextModules;
  readonly unet: {
    readonly module: UNet;
    readonly network: UNetNetwork;
    /** Scheduler config with the detected prediction type. */
    readonly scheduler: SchedulerConfig;
    readonly schedule: DiscreteSchedule;
  };
  readonly codec: LatentCodec;
  readonly previewCodec: LatentCodec;
}

/** Creates a model whose components are loaded on first use. @throws UNSUPPORTED_MODEL for instruct-pix2pix U-Nets */
export function loadUNetModel(
  model: ModelSource,
  family: UNetFamily,
  settings: ModuleSettings,
  warnings: Warnings,
): LoadedModel {
  if (extraChannels(model, model.autoencoder) === 'edit') {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${model.path} has a U-Net with ${model.unet.config.in_channels} input channels (instruct-pix2pix), which is not supported`,
    );
  }
  return new LazyModel(model, unetSpec(family), settings, warnings);
}

function unetSpec(family: UNetFamily): ModelSpec<ModelSource, UNetModules> {
  return {
    components: {
      text: textSpec(family),
      unet: networkSpec(family),
      codec: codecSpec,
      previewCodec: previewSpec,
    },
    facts: (model) => factsOf(model, family),
    encode: (model, get, request, signal) =>
      encodeGuidance(model.condition, async () => (await get('text', signal)).promptEncoder, request, signal),
    denoiser: async (_model, get, { memory }, signal, patches) => {
      const { module, network, scheduler, schedule } = await get('unet', signal);
      return {
        network: network.patched(patches),
        prediction: scheduler.prediction,
        clip: scheduler.clip_x0,
        sequentialGuidance: memory === 'lean',
        noiseSchedule: () => schedule,
        memory: () => module.memory(),
      };
    },
    codec: (_model, get, signal) => get('codec', signal),
    previewCodec: ({ previewDecoder }, get) => (previewDecoder ? get('previewCodec') : undefined),
    loras: (model, get) =>
      loraTarget(model, factsOf(model, family).name, {
        unet: async (signal) => (await get('unet', signal)).module,
        textEncoders: async (signal) => (await get('text', signal)).encoders,
      }),
    prompts: {
      encoder: async (_model, get, signal) => (await get('text', signal)).promptEncoder,
      textEncoders: async (_model, get, signal) => (await get('text', signal)).encoders,
    },
  };
}

function factsOf(model: ModelSource, { alignYourSteps, timeIds = 0 }: UNetFamily): ModelFacts {
  const { path, family, unet, autoencoder, defaults, condition, textEncoders } = model;
  const downsampleFactor = latentDownsampleFactor(autoencoder);
  const side = unet.config.sample_size * downsampleFactor;
  const { addition, cross_attention_dim } = unet.config;
  const texts = condition.kind === 'text' ? textEncoders.length : 0;
  return {
    name: basename(path, extname(path) === '.safetensors' ? '.safetensors' : ''),
    family,
    prediction: model.scheduler.prediction,
    condition,
    guidance: unet.config.time_cond_proj_dim === undefined ? undefined : 'embedded',
    latentChannels: latentChannels(autoencoder),
    extra: extraChannels(model, autoencoder),
    downsampleFactor,
    text: {
      width: cross_attention_dim,
      pooledWidth: addition ? addition.input_dim - timeIds * addition.time_embed_dim : undefined,
    },
    alignYourSteps,
    // Text encoders only for text-conditional models, encoder and decoder except for pixel-space models.
    modules: moduleNames.filter((name) => {
      if (name === 'text_encoder') return texts > 0;
      if (name === 'text_encoder_2') return texts > 1;
      if (name === 'encoder' && autoencoder.kind === 'tiny_autoencoder')
        return autoencoder.config.encoder !== null;
      return name === 'unet' || autoencoder.kind !== 'pixels';
    }),
    defaults: { ...defaults, width: defaults.width ?? side, height: defaults.height ?? side },
  };
}

function textSpec(family: UNetFamily): ComponentSpec<ModelSource, TextModules> {
  return {
    part: 'text_encoder',
    label: 'text encoder',
    needed: ({ condition }) => condition.kind === 'text',
    load: async (model, options) => {
      const encoders = await loadEncoders(model, options);
      const clipSkips = encoders.length === 1 && (family.clipSkip ?? false);
      const zeroEmptyNegative = model.forceZerosForEmptyPrompt;
      return { encoders, promptEncoder: new ClipPromptEncoder({ encoders, clipSkips, zeroEmptyNegative }) };
    },
    release: ({ encoders }) => {
      for (const { encoder } of encoders) encoder.dispose();
    },
    memory: ({ encoders }) =>
      Object.fromEntries(
        encoders.map(({ encoder }, i) => [
          i === 0 ? 'text_encoder' : `text_encoder_${i + 1}`,
          encoder.memory(),
        ]),
      ),
  };
}

async function loadEncoders(model: ModelSource, options: LoadOptions): Promise<LoadedEncoder[]> {
  const encoders: LoadedEncoder[] = [];
  try {
    for (const source of model.textEncoders) {
      const { max_position_embeddings: window } = source.config;
      const pending = loadTokenizer(source.tokenizer, { window, padId: source.padId });
      const tokenizer = await unlessAborted(pending, options.signal);
      encoders.push({ encoder: await TextEncoder.load(source, options), tokenizer, source });
    }
  } catch (error) {
    for (const { encoder } of encoders) encoder.dispose();
    throw error;
  }
  return encoders;
}

function networkSpec(family: UNetFamily): ComponentSpec<ModelSource, UNetModules['unet']> {
  return {
    part: 'unet',
    label: 'U-Net',
    load: async (model, options, settle) => {
      const schedule = DiscreteSchedule.fromConfig(model.scheduler);
      const module = await UNet.load(model.unet, options);
      let { scheduler } = model;
      try {
        if (model.predictionUncertain) {
          const settled = withPrediction(model, await probePrediction(module, options.signal), family);
          settle(settled);
          scheduler = settled.scheduler;
        }
      } catch (error) {
        module.dispose();
        throw error;
      }
      const network = new UNetNetwork(module, {
        downsampleFactor: latentDownsampleFactor(model.autoencoder),
        window: model.textEncoders[0]?.config.max_position_embeddings ?? 1,
        timeIds: family.timeIds,
        lean: options.memory === 'lean',
      });
      return { module, network, scheduler, schedule };
    },
    release: ({ module }) => module.dispose(),
    memory: ({ module }) => ({ unet: module.memory() }),
  };
}

const codecSpec: ComponentSpec<ModelSource, LatentCodec> = {
  part: 'autoencoder',
  label: 'autoencoder',
  load: (model, options) => loadCodec(model.autoencoder, options),
  release: (codec) => codec.dispose(),
  memory: (codec) => ({ autoencoder: codec.memory() }),
};

/** The tiny autoencoder for previews. */
const previewSpec: ComponentSpec<ModelSource, LatentCodec> = {
  part: 'preview',
  label: 'tiny autoencoder of previews',
  needed: ({ previewDecoder }) => previewDecoder !== null,
  load: ({ previewDecoder }, options) => loadCodec({ kind: 'tiny_autoencoder', ...previewDecoder! }, options),
  release: (codec) => codec.dispose(),
  memory: (codec) => ({ preview: codec.memory() }),
};
