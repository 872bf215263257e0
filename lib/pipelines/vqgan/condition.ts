/** Encoding of the transformer's condition. */
import { SafelightError } from '../../errors.js';
import type { ImageSource } from '../../image/read.js';
import { coordinateIndices } from '../../sampling/autoregressive/coordinates.js';
import type { RgbImage } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';
import { renderDecoded } from './pixels.js';
import { prepareInput, type Size, whiteImage } from './prepare-input.js';
import { indicesOf } from './reconstruct.js';
import type { VqganModel } from './vqgan-model.js';

/** Codes that precede those of the image in the sequence. */
export interface ConditionIndices {
  /**
   * `grid`: one code per code of the image, cropped to the sliding window; `tokens`: the same codes for every window.
   */
  readonly kind: 'grid' | 'tokens';
  readonly codes: Int32Array;
  /** The conditioning image as it was encoded; null if there is none. */
  readonly image: RgbImage | null;
}

export interface ConditionInput {
  /** Size of the image to generate, in pixels. */
  readonly size: Size;
  /** Class index of a class-conditional model. */
  readonly index: number | undefined;
  /** Conditioning image of an image-conditional model; default a white image. */
  readonly image: ImageSource | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Encodes the condition of an image.
 * @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION, UNSUPPORTED_MODEL, NOT_FINITE, OUT_OF_MEMORY, ABORTED,
 *   DISPOSED
 */
export async function encodeCondition(model: VqganModel, input: ConditionInput): Promise<ConditionIndices> {
  const { condition } = model.source;
  const { size, index } = input;
  const tokens = (code: number) =>
    ({ kind: 'tokens', codes: Int32Array.of(code), image: null }) satisfies ConditionIndices;
  switch (condition.kind) {
    case 'none':
      return tokens(condition.start);
    case 'class':
      return tokens(index ?? 0);
    case 'coordinates':
      return { kind: 'grid', codes: coordinateCodes(model, size, condition), image: null };
    case 'image':
      return encodeConditionImage(model, input, condition.size);
  }
}

/** Returns the coordinate codes of an image. */
function coordinateCodes(
  model: VqganModel,
  { width, height }: Size,
  { factor, codes }: { readonly factor: number; readonly codes: number },
): Int32Array {
  if (factor !== model.downsampleFactor) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${model.source.path} has coordinates for squares of ${factor} pixels, but a downsampling factor of ${model.downsampleFactor}, which is not supported`,
    );
  }
  return coordinateIndices(height / factor, width / factor, factor, codes);
}

/** Encodes a conditioning image (a sketch, depth map or segmentation map) of the size of the image to generate. */
async function encodeConditionImage(
  model: VqganModel,
  { size, image, signal }: ConditionInput,
  shrunk: number | null,
): Promise<ConditionIndices> {
  const codebook = await model.condition(signal);
  const { downsampleFactor, config } = codebook;
  const prepared = await prepareInput(image ?? whiteImage(size), {
    size,
    downsampleFactor: shrunk === null ? downsampleFactor : 1,
    channels: config.in_channels,
    signal,
  });
  const input = shrunk === null ? prepared.input : nearestSquare(prepared.input, shrunk);
  const { data, shape } = await indicesOf(codebook, input, signal);
  const [, rows = 0, columns = 0] = shape;
  const isSameGrid =
    rows * model.downsampleFactor === size.height && columns * model.downsampleFactor === size.width;
  return { kind: isSameGrid ? 'grid' : 'tokens', codes: data, image: renderDecoded(prepared.input) };
}

/**
 * Resizes `[1, C, H, W]` to `side` x `side` by nearest neighbour as torch.nn.functional.interpolate: floor(i * from /
 * to).
 */
function nearestSquare({ data, shape }: Tensor, side: number): Tensor {
  const [, channels = 0, height = 0, width = 0] = shape;
  const out = new Float32Array(channels * side * side);
  for (let i = 0; i < out.length; i++) {
    const [c, y, x] = [Math.floor(i / side ** 2), Math.floor(i / side) % side, i % side];
    const from = Math.floor((y * height) / side) * width + Math.floor((x * width) / side);
    out[i] = data[c * height * width + from]!;
  }
  return new Tensor(out, [1, channels, side, side]);
}
