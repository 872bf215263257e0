/** Tensors that a caller gives in the place of what a seed or an image would give: the first noise, a latent to begin from. */
import { invalidOption, SafelightError } from '../errors.js';
import { checkFinite, checkTensor } from '../tensor/check-tensor.js';
import type { Tensor } from '../tensor/tensor.js';

export interface GivenTensors {
  /** `[1 or count, C, h, w]`, of unit variance. */
  readonly noise?: Tensor | undefined;
  /** `[1 or count, C, h, w]`, without noise. */
  readonly latent?: Tensor | undefined;
}

interface Sides {
  readonly width: number | undefined;
  readonly height: number | undefined;
}

/**
 * Copies of the tensors, so that the caller may write into his own while the call goes on.
 * @param channels of the model's latents, where they are known; `checkGivenShape` checks them otherwise
 * @throws SHAPE_MISMATCH for another number of rows than one or the call's, NOT_FINITE
 */
export function copyGiven(
  { noise, latent }: GivenTensors,
  count: number,
  channels: number | 'C' = 'C',
): GivenTensors {
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
 * The size in pixels that the tensors stand for, else the one asked for.
 * @throws INVALID_OPTION for a size beside them that is not theirs, SHAPE_MISMATCH for two that differ
 */
export function sizeWith({ noise, latent }: GivenTensors, asked: Sides, downsampleFactor: number): Sides {
  const one = latent ?? noise;
  if (!one) return asked;
  const name = latent ? 'latent' : 'noise';
  const [, , h = 0, w = 0] = one.shape;
  if (noise && (noise.shape[2] !== h || noise.shape[3] !== w))
    throw mismatch('noise', `[.., .., ${h}, ${w}] (the latent's size)`, noise);
  const own = { width: w * downsampleFactor, height: h * downsampleFactor };
  for (const side of ['width', 'height'] as const) {
    if (asked[side] !== undefined && asked[side] !== own[side])
      throw invalidOption(side, `${own[side]} (the ${name}'s) or nothing`, asked[side]);
  }
  return own;
}

/** @param shape of one image's latent. @throws SHAPE_MISMATCH */
export function checkGivenShape(
  given: GivenTensors,
  shape: readonly [channels: number, height: number, width: number],
): void {
  for (const name of ['noise', 'latent'] as const) {
    const tensor = given[name];
    if (tensor && !tensor.shape.slice(1).every((side, i) => side === shape[i]))
      throw mismatch(name, `[${tensor.shape[0]}, ${shape.join(', ')}]`, tensor);
  }
}

/** Rows of images [from, from + size) of the call; each has the only one where there is one. */
export function rowsOf(tensor: Tensor, from: number, size: number): Tensor {
  return tensor.shape[0] === 1 ? tensor.repeat(size, 1, 1, 1) : tensor.slice([from, from + size]);
}

function mismatch(name: string, expected: string, { shape }: Tensor): SafelightError {
  return new SafelightError(
    'SHAPE_MISMATCH',
    `Expected f32 ${expected} for ${name} but received f32 [${shape.join(', ')}]`,
  );
}
