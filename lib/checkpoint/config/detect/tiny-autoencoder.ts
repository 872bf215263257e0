/** Detects the config of a tiny autoencoder from its tensors. Expects canonical names. */
import { SafelightError } from '../../../errors.js';
import type { TinyHalf } from '../../naming/tiny-autoencoder.js';
import type { ComponentWeights } from '../../weights/component.js';
import type { TinyAutoencoderConfig, TinyLayer } from '../types.js';

type Scale = Pick<TinyAutoencoderConfig, 'scaling_factor' | 'shift_factor'>;

interface Half {
  readonly layers: TinyLayer[];
  /** Channels of its input and output. */
  readonly from: number;
  readonly to: number;
}

/**
 * @param scale the latent scale, which the tensors do not determine
 * @throws UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH
 */
export function detectTinyAutoencoderConfig(weights: ComponentWeights, scale: Scale): TinyAutoencoderConfig {
  const encoder = detectHalf(weights, 'encoder');
  const decoder = detectHalf(weights, 'decoder');
  const latents = encoder?.to ?? decoder?.from ?? 0;
  if (encoder && decoder && encoder.to !== decoder.from) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `${weights.where} has an encoder of ${encoder.to} and a decoder of ${decoder.from} latent channels; use files of the same autoencoder`,
    );
  }
  if (encoder && decoder && factorOf(encoder.layers) !== factorOf(decoder.layers)) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `${weights.where} has an encoder that shrinks images by ${factorOf(encoder.layers)} and a decoder that enlarges latents by ${factorOf(decoder.layers)}; use files of the same autoencoder`,
    );
  }
  for (const channels of [encoder?.from ?? 3, decoder?.to ?? 3])
    if (channels !== 3) throw unsupported(weights, `its images have ${channels} channels, expected 3`);
  return {
    in_channels: 3,
    out_channels: 3,
    latent_channels: latents,
    encoder: encoder?.layers ?? null,
    decoder: decoder?.layers ?? null,
    ...scale,
  };
}

/** Returns the ratio of an image's side length to that of its latent. */
export function factorOf(layers: readonly TinyLayer[]): number {
  return layers.reduce(
    (factor, layer) =>
      layer.op === 'upsample' ? 2 * factor : layer.op === 'conv' ? layer.stride * factor : factor,
    1,
  );
}

function detectHalf(weights: ComponentWeights, half: TinyHalf): Half | null {
  const parts = partsByLayer(weights, half);
  if (parts.size === 0) return null;
  const last = Math.max(...parts.keys());
  const layers: TinyLayer[] = [];
  let channels = 0;
  let from = 0;
  for (let i = 0; i <= last; i++) {
    const own = parts.get(i);
    const place = `${half}.layers.${i}`;
    if (own === undefined) {
      layers.push(withoutParameters(weights, half, i, layers.at(-1), parts.get(i + 1)));
      continue;
    }
    const isBlock = own.has('conv.0.weight');
    const filter = isBlock ? `${place}.conv.0.weight` : `${place}.weight`;
    const [out = 0, inputs = 0] = weights.shape(filter, 4);
    if (i === 0) from = inputs;
    else if (inputs !== channels)
      throw unsupported(weights, `its layer ${place} has ${inputs} input channels after one of ${channels}`);
    if (isBlock) {
      const pool = own.has('pool.0.weight') ? (weights.shape(`${place}.pool.0.weight`, 4)[0] ?? 0) : 0;
      layers.push({ op: 'block', out, pool_channels: pool });
    } else {
      const stride = half === 'encoder' && i < last && (i > 0 || !parts.has(1)) ? 2 : 1;
      layers.push({ op: 'conv', out, stride, bias: own.has('bias') });
    }
    channels = out;
  }
  if (layers[0]?.op !== 'conv' || layers.at(-1)?.op !== 'conv')
    throw unsupported(weights, `its ${half} does not begin and end with a convolution`);
  return { layers, from, to: channels };
}

/**
 * Returns a layer that has no parameters: in a decoder the activation after the first convolution, or upsampling before
 * a convolution; in an encoder the activation after a convolution with bias.
 * @throws MISSING_TENSOR at other places
 */
function withoutParameters(
  weights: ComponentWeights,
  half: TinyHalf,
  index: number,
  before: TinyLayer | undefined,
  after: ReadonlySet<string> | undefined,
): TinyLayer {
  const follows = before?.op === 'conv' && before.bias;
  if (half === 'encoder' ? follows : follows && index === 1) return { op: 'relu' };
  if (half === 'decoder' && before?.op === 'block' && after?.has('weight')) return { op: 'upsample' };
  throw new SafelightError(
    'MISSING_TENSOR',
    `${weights.where} has no tensors of layer ${index} of its ${half} (${half}.layers.${index}); the file is incomplete: download it again or use another`,
  );
}

/** Returns the names of the parameters of each layer. */
function partsByLayer(weights: ComponentWeights, half: TinyHalf): Map<number, Set<string>> {
  const layers = new Map<number, Set<string>>();
  for (const name of weights.parameters.keys()) {
    const [, index, rest] = new RegExp(`^${half}\\.layers\\.(\\d+)\\.(.+)$`).exec(name) ?? [];
    if (index === undefined || rest === undefined) continue;
    const parts = layers.get(Number(index)) ?? new Set<string>();
    layers.set(Number(index), parts.add(rest));
  }
  return layers;
}

function unsupported(weights: ComponentWeights, reason: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${weights.where} contains no supported tiny autoencoder: ${reason}; use TAESD, TAESDXL, TAESD3, TAEF1 or TAEF2`,
  );
}
