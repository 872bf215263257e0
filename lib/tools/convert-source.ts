/** Sources of a conversion: a complete model or one component. */
import { join, resolve } from 'node:path';
import type { AdaptedComponent } from '../adapters/model-layers.js';
import { CONFIG_VERSION, type EmbeddedConfig } from '../checkpoint/config/embedded-config.js';
import type {
  AutoencoderSource,
  ModelSource,
  OpenModelOptions,
  TextEncoderSource,
} from '../checkpoint/model-descriptor.js';
import { clipNaming } from '../checkpoint/naming/clip.js';
import { ldmAutoencoderNaming } from '../checkpoint/naming/ldm-autoencoder.js';
import { ldmUNetNaming } from '../checkpoint/naming/ldm-unet.js';
import { autoencoderToLdm, textToLdm, unetToLdm } from '../checkpoint/naming/to-ldm.js';
import { AUTOENCODER, encoderNaming, UNET } from '../checkpoint/text-encoder-layout.js';
import { SafelightError } from '../errors.js';
import { openModel, stableDiffusionDefinition } from '../families/registry.js';
import {
  openComponentFile,
  openComponentFolder,
  type SingleComponent,
} from '../families/shared/single-component.js';
import { kindOf } from '../files/read.js';
import { locateModel } from '../hub/locate.js';
import type { ConvertPart } from './convert-plan.js';

export interface ConvertSource {
  readonly parts: readonly ConvertPart[];
  /** Config to embed; the indices of tokenizers are added later. */
  readonly config: EmbeddedConfig;
  readonly encoders: readonly TextEncoderSource[];
  /** Value of `general.architecture`. */
  readonly architecture: string;
}

/**
 * Opens a model or component for conversion.
 * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION
 */
export async function openConvertSource(path: string, options: OpenModelOptions): Promise<ConvertSource> {
  const absolute = resolve(await locateModel(path));
  if (
    (await kindOf(absolute)) === 'folder' &&
    (await kindOf(join(absolute, 'model_index.json'))) !== 'file'
  ) {
    return fromComponent(await componentFolder(absolute, options.variant));
  }
  try {
    return fromModel(await openModel(path, options));
  } catch (error) {
    const component = isIncomplete(error) ? await singleComponent(absolute, options.ema) : null;
    if (component === null) throw error;
    return fromComponent(component);
  }
}

async function componentFolder(folder: string, variant: string | undefined): Promise<SingleComponent> {
  const component = await openComponentFolder(folder, variant);
  if (component !== null) return component;
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    `${folder} is neither a model folder nor a folder of a supported component; use a folder with model_index.json`,
  );
}

function isIncomplete(error: unknown): boolean {
  return error instanceof SafelightError && ['UNSUPPORTED_MODEL', 'MISSING_TENSOR'].includes(error.code);
}

/**
 * Opens a file with a single component. Returns null for an incomplete checkpoint, which must not be converted as if
 * it were complete.
 */
async function singleComponent(path: string, ema: boolean | undefined): Promise<SingleComponent | null> {
  if ((await kindOf(path)) !== 'file') return null;
  const component = await openComponentFile(path, ema);
  if (component === null) return null;
  const { tensors, used } = component.weights;
  const prefixes = [UNET, AUTOENCODER, 'cond_stage_model.', 'conditioner.'];
  const ownPrefix = prefixes.find((prefix) => [...used].some((name) => name.startsWith(prefix)));
  const mixed = [...tensors.keys()].some((name) =>
    prefixes.some((prefix) => prefix !== ownPrefix && name.startsWith(prefix)),
  );
  return mixed ? null : component;
}

function fromModel(source: ModelSource): ConvertSource {
  const { family, textEncoders, unet, autoencoder } = source;
  const layout = stableDiffusionDefinition(family)?.layouts[0];
  if (autoencoder.kind === 'tiny_autoencoder') {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${autoencoder.weights.where} is a tiny autoencoder, which a converted model cannot contain; leave out the vae option and pass it when the model is loaded`,
    );
  }
  if (layout === undefined || autoencoder.kind !== 'autoencoder_kl') {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${source.path} is not a Stable Diffusion model, and other families cannot be converted; load the model as it is`,
    );
  }
  const text = textEncoders.map(({ config, weights, pooled }, i): ConvertPart => {
    const place = { ...layout.encoders[i]!, pooled };
    const projection = pooled && config.projection_dim > 0;
    const reading = (names: readonly string[]) => encoderNaming({ ...place, pooled: projection }, names);
    // The reverse mapping depends on the presence of `text_model.` in the names.
    const naming = reading([`${place.prefix}text_model.`]);
    return {
      kind: 'text_encoder',
      config: { ...config },
      weights,
      ldm: textToLdm(naming, place.kind === 'openclip'),
      reading,
      adapted: { component: TEXT[i]! },
    };
  });
  return {
    parts: [...text, unetPart(unet), autoencoderPart(autoencoder)],
    encoders: textEncoders,
    architecture: family,
    config: {
      ...EMPTY,
      family,
      text_encoders: textEncoders.map(encoderConfig),
      unet: unet.config,
      autoencoder: autoencoder.config,
      scheduler: source.scheduler,
      defaults: source.defaults,
      force_zeros_for_empty_prompt: source.forceZerosForEmptyPrompt,
      prediction_uncertain: source.predictionUncertain,
      own_size: source.ownSize,
    },
  };
}

/** Text encoders as LoRAs name them; no family that can be converted has more. */
const TEXT: readonly AdaptedComponent[] = ['text_encoder', 'text_encoder_2'];

const EMPTY: EmbeddedConfig = {
  version: CONFIG_VERSION,
  family: null,
  text_encoders: [],
  unet: null,
  autoencoder: null,
  scheduler: null,
  defaults: {},
  force_zeros_for_empty_prompt: false,
  prediction_uncertain: false,
  own_size: true,
};

function encoderConfig(encoder: TextEncoderSource): EmbeddedConfig['text_encoders'][number] {
  const { config, kind, layer, finalNorm, pooled, padId } = encoder;
  // Only families with CLIP encoders are converted.
  const clip = kind === 'openclip' ? kind : 'clip';
  return { config, kind: clip, layer, final_norm: finalNorm, pooled, pad_id: padId, tokenizer: null };
}

function unetPart({ config, weights }: ModelSource['unet']): ConvertPart {
  return {
    kind: 'unet',
    config: { ...config },
    weights,
    ldm: unetToLdm(config, UNET),
    reading: (names) => ldmUNetNaming(names, UNET, weights.where),
    adapted: { component: 'unet', unet: config },
  };
}

function autoencoderPart({ config, weights }: AutoencoderSource): ConvertPart {
  return {
    kind: 'autoencoder_kl',
    config: { ...config },
    weights,
    ldm: autoencoderToLdm(config, AUTOENCODER),
    reading: (names) => ldmAutoencoderNaming(names, AUTOENCODER),
    adapted: null,
  };
}

function fromComponent({ kind, config, weights }: SingleComponent): ConvertSource {
  if (kind !== 'unet' && kind !== 'autoencoder_kl' && kind !== 'text_encoder') {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${weights.where} is a component of kind ${kind}, which cannot be converted; use a U-Net, a KL autoencoder or a CLIP text encoder`,
    );
  }
  const base = { encoders: [], architecture: kind };
  if (kind === 'unet') {
    const unet = config as ModelSource['unet']['config'];
    return { ...base, parts: [unetPart({ config: unet, weights })], config: { ...EMPTY, unet } };
  }
  if (kind === 'autoencoder_kl') {
    const autoencoder = config as AutoencoderSource['config'];
    return {
      ...base,
      parts: [autoencoderPart({ config: autoencoder, weights })],
      config: { ...EMPTY, autoencoder },
    };
  }
  const text = config as TextEncoderSource['config'];
  // CompVis' form defines no names for a separate text encoder, so transformers' names are used.
  const reading = (names: readonly string[]) => clipNaming(names, '', text.projection_dim > 0);
  const part: ConvertPart = {
    kind: 'text_encoder',
    config: { ...text },
    weights,
    ldm: textToLdm(reading(['text_model.']), false),
    reading,
    adapted: { component: 'text_encoder' },
  };
  const encoder = {
    config: text,
    kind: text.hidden_act === 'gelu' ? ('openclip' as const) : ('clip' as const),
    layer: text.num_hidden_layers,
    final_norm: true,
    pooled: text.projection_dim > 0,
    pad_id: 0,
    tokenizer: null,
  };
  return { ...base, parts: [part], config: { ...EMPTY, text_encoders: [encoder] } };
}
