/** Opens upscaling networks: recognizes their files, reads their configs and locates their weights without loading them. */
import { SafelightError } from '../errors.js';
import { detectCompactConfig } from './config/detect/compact.js';
import { detectDatConfig } from './config/detect/dat.js';
import { detectRrdbNetConfig } from './config/detect/rrdb-net.js';
import { detectSwinIRConfig } from './config/detect/swinir.js';
import type { CompactConfig, DatConfig, RrdbNetConfig, SwinIRConfig } from './config/upscaler-types.js';
import { readWeightFile } from './formats/weight-file.js';
import { findUpscaler } from './naming/upscaler.js';
import { ComponentWeights } from './weights/component.js';
import type { TensorIndex } from './weights/tensor-index.js';

/** A recognized network and its config. */
export type UpscalerModel =
  | { readonly kind: 'rrdb_net'; readonly config: RrdbNetConfig }
  | { readonly kind: 'compact'; readonly config: CompactConfig }
  | { readonly kind: 'swinir'; readonly config: SwinIRConfig }
  | { readonly kind: 'dat'; readonly config: DatConfig };

/** Properties of a network. */
export interface UpscalerFacts {
  readonly architecture: 'ESRGAN' | 'ESRGAN+' | 'Real-ESRGAN Compact' | 'SwinIR' | 'DAT';
  /** Ratio of the sides of result and image. */
  readonly scale: number;
  /** Channels of images: 3 for RGB, 1 for grey. */
  readonly channels: number;
  /**
   * Side length in pixels of the square of the image that determines an output pixel; null for networks with
   * attention, which have none or a very large one.
   */
  readonly receptiveField: number | null;
  /** Sides of the network's inputs are multiples of this. */
  readonly multiple: number;
  /** Sides and positions of tiles are multiples of this, so that windows are those of the whole image. */
  readonly tileMultiple: number;
}

export type UpscalerSource = UpscalerModel & {
  readonly facts: UpscalerFacts;
  readonly weights: ComponentWeights;
};

/** Architectures that are recognized but not supported. */
const OTHERS: readonly (readonly [sign: RegExp, name: string])[] = [
  [/\bconv_block\.cab\./, 'HAT'],
  [/\bresidual_group\.blocks\.0\.attn\.logit_scale$/, 'Swin2SR'],
  [/\bblock_1\.c1_r\./, 'SPAN'],
  [/\bbody\.0\.body\.0\.body\.0\.weight$/, 'RCAN'],
];

/**
 * Opens a safetensors file or a PyTorch checkpoint (`.pth`, `.pt`; no code in it is executed).
 * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH
 */
export async function openUpscaler(path: string): Promise<UpscalerSource> {
  const { tensors } = await readWeightFile(path, { ema: true });
  const source = await upscalerFromTensors(tensors, path);
  if (source !== null) return source;
  const [, name] = OTHERS.find(([sign]) => [...tensors.keys()].some((tensor) => sign.test(tensor))) ?? [];
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path} is ${name ? `a ${name} model` : 'not a model for upscaling that is recognized'}; supported are ESRGAN, Real-ESRGAN (also Compact), BSRGAN, SwinIR and DAT`,
  );
}

/** Finds an upscaling network among a file's tensors. @returns null if there is none @throws as `openUpscaler` */
export async function upscalerFromTensors(
  tensors: TensorIndex,
  where: string,
): Promise<UpscalerSource | null> {
  const found = findUpscaler(tensors.keys());
  if (found === null) return null;
  const weights = new ComponentWeights('upscaler', where, tensors, found.naming);
  // Other networks are sequences of layers too, but not with a PReLU after the first.
  if (found.kind === 'compact' && weights.parameter('body.1.weight').shape.length !== 1) return null;
  const model = await modelOf(found.kind, weights);
  const facts = factsOf(model);
  const { in_channels, out_channels } = model.config;
  if (in_channels !== out_channels || (in_channels !== 1 && in_channels !== 3))
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${where} maps images of ${in_channels} channels to ${out_channels}; supported are models for RGB (3) or grey images (1)`,
    );
  return { ...model, facts, weights };
}

async function modelOf(kind: UpscalerModel['kind'], weights: ComponentWeights): Promise<UpscalerModel> {
  switch (kind) {
    case 'rrdb_net':
      return { kind, config: detectRrdbNetConfig(weights) };
    case 'compact':
      return { kind, config: detectCompactConfig(weights) };
    case 'swinir':
      return { kind, config: detectSwinIRConfig(weights, hasUnshuffledInput(weights)) };
    case 'dat':
      return { kind, config: await detectDatConfig(weights) };
  }
}

function factsOf({ kind, config }: UpscalerModel): UpscalerFacts {
  const channels = config.in_channels;
  switch (kind) {
    case 'rrdb_net': {
      const { doublings, unshuffle, num_block, plus } = config;
      return {
        architecture: plus ? 'ESRGAN+' : 'ESRGAN',
        scale: 2 ** doublings / unshuffle,
        channels,
        // The farthest pixel of a rearranged square is `unshuffle - 1` pixels farther than the nearest one.
        receptiveField: 2 * (rrdbRadius(doublings, num_block) * unshuffle + unshuffle - 1) + 1,
        multiple: unshuffle,
        tileMultiple: unshuffle,
      };
    }
    case 'compact':
      return {
        architecture: 'Real-ESRGAN Compact',
        scale: config.upscale,
        channels,
        receptiveField: 2 * (config.num_conv + 2) + 1,
        multiple: 1,
        tileMultiple: 1,
      };
    case 'swinir':
      return {
        architecture: 'SwinIR',
        scale: productOf(config.upsample_factors) / config.unshuffle,
        channels,
        receptiveField: null,
        multiple: config.window_size * config.unshuffle,
        tileMultiple: config.window_size * config.unshuffle,
      };
    case 'dat':
      return {
        architecture: 'DAT',
        scale: productOf(config.upsample_factors),
        channels,
        receptiveField: null,
        // The network pads its tokens itself, with zeros.
        multiple: 1,
        tileMultiple: Math.max(...config.split_size),
      };
  }
}

function productOf(factors: readonly number[]): number {
  return factors.reduce((a, b) => a * b, 1);
}

/** Returns true if the file names the first convolution as the one after a rearrangement of pixels. */
function hasUnshuffledInput({ parameters }: ComponentWeights): boolean {
  return /\bconv_first\.1\.weight$/.test(parameters.get('conv_first.weight')?.tensor.name ?? '');
}

/** Returns how far the convolutions of RRDBNet reach, in pixels of the first one's input. */
function rrdbRadius(doublings: number, blocks: number): number {
  let radius = 2 + 15 * blocks;
  for (let n = 1; n <= doublings; n++) radius += 2 ** -n;
  return Math.ceil(radius + 2 * 2 ** -doublings);
}
