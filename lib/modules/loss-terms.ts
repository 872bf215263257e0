/** Terms of the autoencoder losses, computed in double precision. */
import { SafelightError } from '../errors.js';
import type { Tensor } from '../tensor/tensor.js';

export function mean(values: ArrayLike<number>): number {
  return meanOf(values, (value) => value);
}

function meanOf(values: ArrayLike<number>, of: (value: number, index: number) => number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += of(values[i]!, i);
  return sum / values.length;
}

/** Returns the mean absolute (`l1`) or squared (`l2`) difference of two images. @throws SHAPE_MISMATCH */
export function pixelDistance(a: Tensor, b: Tensor, loss: 'l1' | 'l2'): number {
  if (a.shape.join() !== b.shape.join()) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `The autoencoder reconstructs images of shape [${a.shape.join(', ')}] as [${b.shape.join(', ')}]; losses need equal shapes`,
    );
  }
  return meanOf(a.data, (value, i) =>
    loss === 'l1' ? Math.abs(value - b.data[i]!) : (value - b.data[i]!) ** 2,
  );
}

/**
 * Hinge: 0.5 (mean max(0, 1 - real) + mean max(0, 1 + fake)); vanilla: 0.5 (mean softplus(-real) + mean
 * softplus(fake)).
 */
export function discriminatorLoss(
  real: ArrayLike<number>,
  fake: ArrayLike<number>,
  loss: 'hinge' | 'vanilla',
): number {
  const term = loss === 'hinge' ? (x: number) => Math.max(0, 1 + x) : softplus;
  return 0.5 * (meanOf(real, (x) => term(-x)) + meanOf(fake, term));
}

/** log(1 + e^x) without overflow for large x. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/**
 * KL divergence of the code distribution from the uniform one: the mean over pixels of sum q log(q N + 1e-10), where
 * q is the softmax of the logits `[B, N, h, w]` (GumbelQuantize in taming-transformers).
 * @param used codes to include in the softmax; null for all
 */
export function gumbelDivergence({ data, shape }: Tensor, used: Int32Array | null): number {
  const [batch = 0, codes = 0, height = 0, width = 0] = shape;
  const pixels = height * width;
  const counted = used ?? Int32Array.from({ length: codes }, (_, i) => i);
  let sum = 0;
  for (let b = 0; b < batch; b++) {
    for (let p = 0; p < pixels; p++) {
      const at = (code: number): number => data[(b * codes + code) * pixels + p]!;
      let largest = -Infinity;
      for (const code of counted) largest = Math.max(largest, at(code));
      let total = 0;
      for (const code of counted) total += Math.exp(at(code) - largest);
      for (const code of counted) {
        const q = Math.exp(at(code) - largest) / total;
        sum += q * Math.log(q * codes + 1e-10);
      }
    }
  }
  return sum / (batch * pixels);
}

/** Returns the means `[B, C, h, w]` of moments `[B, 2C, h, w]`. */
export function meansOf(moments: Tensor): Tensor {
  const [, channels = 0] = moments.shape;
  return moments.slice(null, [0, channels / 2]);
}

/**
 * KL divergence of moments `[B, 2C, h, w]` from the standard normal, summed over an image and averaged over the
 * batch.
 */
export function klDivergence(moments: Tensor): number {
  const [batch = 1, channels = 0, height = 0, width = 0] = moments.shape;
  const half = (channels / 2) * height * width;
  let sum = 0;
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < half; i++) {
      const mean = moments.data[2 * b * half + i]!;
      const logvar = Math.min(20, Math.max(-30, moments.data[(2 * b + 1) * half + i]!));
      sum += 0.5 * (mean * mean + Math.exp(logvar) - 1 - logvar);
    }
  }
  return sum / batch;
}
