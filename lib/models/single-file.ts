/**
 * A single file in CompVis' ("ldm") form: everything in one safetensors or PyTorch checkpoint, no config. The family is told by where the text encoders are,
 * sizes by the tensors; what tensors cannot tell is a fact of the family (FACTS: heads, activations, norms, prediction).
 */
import { SafelightError } from '../errors.js';
import { ComponentWeights } from '../weights/component.js';
import { clipNaming } from '../weights/naming/clip.js';
import { ldmUNetNaming } from '../weights/naming/ldm-unet.js';
import { openClipNaming } from '../weights/naming/openclip.js';
import { openWeights } from '../weights/open-weights.js';
import type { TensorIndex } from '../weights/tensor-index.js';
import { openAutoencoderTensors } from './autoencoder-source.js';
import type { ModelFamily, SchedulerConfig } from './config.js';
import { STABLE_DIFFUSION_SCHEDULER } from './config-scheduler.js';
import { detectTextEncoderConfig } from './detect-text-encoder.js';
import { detectUNetConfig } from './detect-unet.js';
import { refuseOtherFamilies } from './other-families.js';
import { type ModelParts, standardPadId } from './parts.js';
import type { OpenModelOptions, TextEncoderSource } from './source.js';

const UNET = 'model.diffusion_model.';
const AUTOENCODER = 'first_stage_model.';

interface EncoderPlace {
  readonly prefix: string;
  readonly kind: 'clip' | 'openclip';
  /** Which hidden state is used, counted from the last. */
  readonly back: number;
  readonly finalNorm: boolean;
  readonly pooled: boolean;
}

type FileFamily = Exclude<ModelFamily, 'custom'>;

const OPENCLIP_XL = { kind: 'openclip', back: 1, finalNorm: false, pooled: true } as const;

/** Where each family keeps its text encoders. SD2's penultimate state passes the final norm, SDXL's do not. */
const ENCODERS: Readonly<Record<FileFamily, readonly EncoderPlace[]>> = {
  sd1: [{ prefix: 'cond_stage_model.transformer.', kind: 'clip', back: 0, finalNorm: true, pooled: false }],
  sd2: [{ prefix: 'cond_stage_model.model.', kind: 'openclip', back: 1, finalNorm: true, pooled: false }],
  sdxl: [
    {
      prefix: 'conditioner.embedders.0.transformer.',
      kind: 'clip',
      back: 1,
      finalNorm: false,
      pooled: false,
    },
    { prefix: 'conditioner.embedders.1.model.', ...OPENCLIP_XL },
  ],
  sdxl_refiner: [{ prefix: 'conditioner.embedders.0.model.', ...OPENCLIP_XL }],
};

/** Numbers that follow the pooled text: sizes, crop and target size, of which the refiner has an aesthetic score instead. */
const TIME_IDS: Readonly<Record<FileFamily, number>> = { sd1: 0, sd2: 0, sdxl: 6, sdxl_refiner: 5 };
/** How the sampler sees latents: unit variance over the training pictures. */
const SCALE: Readonly<Record<FileFamily, number>> = {
  sd1: 0.18215,
  sd2: 0.18215,
  sdxl: 0.13025,
  sdxl_refiner: 0.13025,
};

/** @param path absolute path of the file */
export async function openSingleFile(path: string, options: OpenModelOptions): Promise<ModelParts> {
  const { tensors } = await openWeights(path, { ema: options.ema ?? false });
  refuseOtherFamilies(tensors, path);
  const family = familyOf(tensors, path);
  const textEncoders = ENCODERS[family].map((place) => openEncoder(place, tensors, path));
  const weights = new ComponentWeights('U-Net', path, tensors, ldmUNetNaming(tensors.keys(), UNET, path));
  const scale = { scaling_factor: SCALE[family], shift_factor: 0 };
  const autoencoder =
    options.vae === undefined ? openAutoencoderTensors(tensors, AUTOENCODER, path, scale) : null;
  const pooled = textEncoders.find((encoder) => encoder.pooled)?.config.projection_dim;
  const config = detectUNetConfig(weights, {
    addition: pooled === undefined ? null : { pooled, ids: TIME_IDS[family] },
    // Settled once the autoencoder's factor is known.
    sampleSize: 64,
  });
  const { scheduler, uncertain } = training(tensors, family, config.in_channels, options.prediction);
  return {
    form: 'file',
    family,
    textEncoders,
    unet: { config, weights },
    autoencoder,
    latentScale: scale,
    scheduler,
    defaults: {},
    forceZerosForEmptyPrompt: family === 'sdxl' || family === 'sdxl_refiner',
    predictionUncertain: uncertain,
  };
}

/** Side in pixels of the pictures that a family was trained on. */
export function nativeSize(family: ModelFamily, scheduler: SchedulerConfig): number {
  if (family === 'sdxl' || family === 'sdxl_refiner') return 1024;
  return family === 'sd2' && scheduler.prediction === 'v' ? 768 : 512;
}

function familyOf(tensors: TensorIndex, path: string): FileFamily {
  const found = new Set<string>();
  const prefixes = [
    UNET,
    'conditioner.embedders.1.',
    ...Object.values(ENCODERS).flatMap((places) => places.map((p) => p.prefix)),
  ];
  for (const name of tensors.keys()) {
    for (const prefix of prefixes) if (name.startsWith(prefix)) found.add(prefix);
  }
  if (!found.has(UNET)) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} holds no U-Net (${UNET}*), so it is no whole checkpoint; name a diffusers folder or a single-file checkpoint ("safelight inspect" tells what this is)`,
    );
  }
  if (found.has('conditioner.embedders.1.') || found.has('conditioner.embedders.0.transformer.'))
    return 'sdxl';
  if (found.has('conditioner.embedders.0.model.')) return 'sdxl_refiner';
  if (found.has('cond_stage_model.model.')) return 'sd2';
  if (found.has('cond_stage_model.transformer.')) return 'sd1';
  throw new SafelightError(
    'MISSING_TENSOR',
    `${path} holds a U-Net but no text encoder (cond_stage_model.* or conditioner.*); take a whole checkpoint`,
  );
}

function openEncoder(place: EncoderPlace, tensors: TensorIndex, path: string): TextEncoderSource {
  const { prefix, kind, pooled } = place;
  const naming =
    kind === 'clip' ? clipNaming(tensors.keys(), prefix, pooled) : openClipNaming(prefix, pooled);
  const weights = new ComponentWeights('text encoder', path, tensors, naming);
  const config = detectTextEncoderConfig(weights, kind, pooled);
  return {
    config,
    weights,
    tokenizer: 'standard',
    padId: standardPadId(kind),
    kind,
    layer: Math.max(0, config.num_hidden_layers - place.back),
    finalNorm: place.finalNorm,
    pooled,
  };
}

/** Tensors by which the makers of a file say how it was trained; they are no weights. */
export function isMarker(name: string): boolean {
  return name === 'v_pred' || name === 'ztsnr';
}

/** How the model was trained, by its markers. */
function training(
  tensors: TensorIndex,
  family: FileFamily,
  inChannels: number,
  override: SchedulerConfig['prediction'] | undefined,
): { scheduler: SchedulerConfig; uncertain: boolean } {
  const sign = tensors.has('v_pred') ? 'v' : undefined;
  const scheduler: SchedulerConfig = {
    ...STABLE_DIFFUSION_SCHEDULER,
    prediction: override ?? sign ?? 'eps',
    rescale_zero_snr: tensors.has('ztsnr'),
  };
  // SD2's 512 model predicts eps, its 768 model v, its inpainting model eps; the first two have the same tensors.
  const uncertain = family === 'sd2' && inChannels !== 9 && override === undefined && sign === undefined;
  return { scheduler, uncertain };
}
