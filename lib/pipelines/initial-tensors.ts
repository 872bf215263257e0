/** Tensors passed by the caller: initial noise instead of a seed's, and an initial latent instead of an image. */
import { invalidOption, SafelightError } from '../errors.js';
import { checkFinite, checkTensor } from '../tensor/check-tensor.js';
import type { Tensor } from '../tensor/tensor.js';

export interface InitialTensors {
  /** Initial noise `[1 or count, C, h, w]` of unit variance. */
  readonly noise?: Tensor | undefined;
  /** Noise-free latent `[1 or count, C, h, w]`. */
  readonly latent?: Tensor | undefined;
}

interface Sides {
  readonly width: number | undefined;
  readonly height: number | undefined;
}

/**
 * Validates and copies the tensors, so that the caller may modify them during the call.
 * @param channels of the model's latents, if known; otherwise `checkInitialShape` checks them later
 * @throws SHAPE_MISMATCH for a batch size other than 1 or `count`, NOT_FINITE
 */
export function copyInitialTensors(
  { noise, latent }: InitialTensors,
  count: number,
  channels: number | 'C' = 'C',
): InitialTensors {
  const copy = (name: string, tensor: Tensor | undefined): Tensor | undefined =>
    tensor === undefined ? undefined : copyOf(name, tensor, count, channels);
  return { noise: copy('noise', noise), latent: copy('latent', latent) };
}

function copyOf(name: string, value: Tensor, count: number, channels: number | 'C'): Tensor {
  const rows = count === 1 ? '1' : `1 or ${count}`;
  const tensor = checkTensor(name, value, [rows, channels, 'h', 'w']);
  if (tensor.shape[0] !== 1 && tensor.shape[0] !== count)
    throw mismatch(name, `[${rows}, ${channels}, h, w]`, tensor);
  checkFinite(name, tensor);
  return tensor.clone();
}

/**
 * Returns the image size in pixels of the tensors; without tensors, the requested size.
 * @throws INVALID_OPTION if the requested size differs, SHAPE_MISMATCH if the tensors' sizes differ
 */
export function sizeWith(
  { noise, latent }: InitialTensors,
  requested: Sides,
  downsampleFactor: number,
): Sides {
  const tensor = latent ?? noise;
  if (!tensor) return requested;
  const name = latent ? 'latent' : 'noise';
  const [, , h = 0, w = 0] = tensor.shape;
  if (noise && (noise.shape[2] !== h || noise.shape[3] !== w))
    throw mismatch('noise', `[.., .., ${h}, ${w}] (the latent's size)`, noise);
  const size = { width: w * downsampleFactor, height: h * downsampleFactor };
  for (const side of ['width', 'height'] as const) {
    if (requested[side] !== undefined && requested[side] !== size[side])
      throw invalidOption(side, `undefined or ${size[side]} (the ${name}'s)`, requested[side]);
  }
  return size;
}

/** Checks the shape of the tensors. @param shape of the latent of one image. @throws SHAPE_MISMATCH */
export function checkInitialShape(
  given: InitialTensors,
  shape: readonly [channels: number, height: number, width: number],
): void {
  for (const name of ['noise', 'latent'] as const) {
    const tensor = given[name];
    if (tensor && !tensor.shape.slice(1).every((side, i) => side === shape[i]))
      throw mismatch(name, `[${tensor.shape[0]}, ${shape.join(', ')}]`, tensor);
  }
}

/** Returns the rows of images [from, from + size) of the call; a tensor with one row is repeated. */
export function rowsOf(tensor: Tensor, from: number, size: number): Tensor {
  return tensor.shape[0] === 1 ? tensor.repeat(size, 1, 1, 1) : tensor.slice([from, from + size]);
}

function mismatch(name: string, expected: string, { shape }: Tensor): SafelightError {
  return new SafelightError(
    'SHAPE_MISMATCH',
    `Expected f32 ${expected} for ${name}, received f32 [${shape.join(', ')}]`,
  );
}
