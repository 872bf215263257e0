/**
 * Self-attention guidance (Hong et al. 2023, arXiv:2210.00939; diffusers' StableDiffusionSAGPipeline): the prediction is
 * compared with the one for a latent whose x0 is blurred where the mid block attends.
 */
import { reflectedIndex } from '../tensor/reflect.js';
import { Tensor } from '../tensor/tensor.js';
import type { Scalings } from './prediction.js';

const RADIUS = 4;
const DEVIATION = 1;
/** Attention that a token receives from all others, above which its pixels are blurred; the mean is 1. */
const THRESHOLD = 1;

/**
 * Returns the network's input with a blurred x0 and the same noise.
 * @param latents scaled latents `[B, C, h, w]`, the network's input
 * @param prediction the network's prediction for them, of the same shape
 * @param attention self-attention probabilities `[B, heads, T, T]` of a map whose sides are h and w halved several times
 * @param alpha factor of x0 in the unscaled latent
 */
export function degradedLatents(
  latents: Tensor,
  prediction: Tensor,
  attention: Tensor,
  { cIn, cOut, cSkip }: Scalings,
  alpha: number,
): Tensor {
  const [images = 0, channels = 0, height = 0, width = 0] = latents.shape;
  const size = height * width;
  const x0 = prediction.data.map((value, i) => value * cOut + (latents.data[i]! / cIn) * cSkip);
  const out = latents.data.slice();
  for (let image = 0; image < images; image++) {
    const mask = attendedPixels(attention.at(image), height, width);
    for (let channel = 0; channel < channels; channel++) {
      const start = (image * channels + channel) * size;
      const plane = x0.subarray(start, start + size);
      const blurred = blur(plane, height, width);
      for (let i = 0; i < size; i++) if (mask[i]) out[start + i]! += cIn * alpha * (blurred[i]! - plane[i]!);
    }
  }
  return Tensor.from(out, latents.shape);
}

/** Returns 1 for the pixels `[h, w]` that receive more attention than the mean. @param probabilities `[heads, T, T]` */
function attendedPixels(probabilities: Tensor, height: number, width: number): Uint8Array {
  const [heads = 0, queries = 0, keys = 0] = probabilities.shape;
  const received = new Float64Array(keys);
  for (let i = 0; i < heads * queries; i++)
    for (let key = 0; key < keys; key++) received[key]! += probabilities.data[i * keys + key]! / heads;
  const [rows, columns] = mapSize(keys, height, width);
  return Uint8Array.from({ length: height * width }, (_, i) => {
    const row = Math.floor((Math.floor(i / width) * rows) / height);
    const column = Math.floor(((i % width) * columns) / width);
    return Number(received[row * columns + column]! > THRESHOLD);
  });
}

/** Returns the size of the map with a number of tokens, which the network reached by halving and rounding up. */
function mapSize(tokens: number, height: number, width: number): [rows: number, columns: number] {
  let [rows, columns] = [height, width];
  while (rows * columns > tokens) [rows, columns] = [Math.ceil(rows / 2), Math.ceil(columns / 2)];
  return [rows, columns];
}

/** Blurs a plane `[h, w]` with a Gaussian of 9 x 9 pixels. Edges are reflected. */
function blur(plane: Float32Array, height: number, width: number): Float32Array {
  const weights = Array.from({ length: 2 * RADIUS + 1 }, (_, i) =>
    Math.exp(-0.5 * ((i - RADIUS) / DEVIATION) ** 2),
  );
  const total = weights.reduce((a, b) => a + b);
  const along = (from: Float32Array, length: number, stride: number): Float32Array =>
    from.map((_, i) => {
      const at = Math.floor(i / stride) % length;
      let sum = 0;
      for (const [k, weight] of weights.entries()) {
        const place = reflectedIndex(Math.abs(at + k - RADIUS), length);
        sum += (weight / total) * from[i + (place - at) * stride]!;
      }
      return sum;
    });
  return along(along(plane, width, 1), height, width);
}
