/** What a transformer reads before a picture's codes. */
import { SafelightError } from '../../errors.js';
import type { ImageSource } from '../../image/read.js';
import { coordinateIndices } from '../../sampling/autoregressive/coordinates.js';
import type { RgbImage } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';
import { renderDecoded } from './pixels.js';
import { blankPage, prepareInput, type Size } from './prepare-input.js';
import { indicesOf } from './reconstruct.js';
import type { VqganModel } from './vqgan-model.js';

/** Codes before those of the picture. */
export interface ConditionIndices {
  /** `grid`: as many as the picture has and lying as they do, so that a window takes its part; `tokens`: before every window. */
  readonly kind: 'grid' | 'tokens';
  readonly codes: Int32Array;
  /** The picture that they are of, as it was encoded; null where there is none. */
  readonly image: RgbImage | null;
}

export interface ConditionInput {
  /** Of the picture to be, in pixels. */
  readonly size: Size;
  /** Of a class-conditional model. */
  readonly index: number | undefined;
  /** Of an image-conditional model; an empty page if left out. */
  readonly image: ImageSource | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION, UNSUPPORTED_MODEL, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED
 */
export async function encodeCondition(modules: VqganModel, input: ConditionInput): Promise<ConditionIndices> {
  const { condition } = modules.source;
  const { size, index } = input;
  const tokens = (code: number) =>
    ({ kind: 'tokens', codes: Int32Array.of(code), image: null }) satisfies ConditionIndices;
  switch (condition.kind) {
    case 'none':
      return tokens(condition.start);
    case 'class':
      return tokens(index ?? 0);
    case 'coordinates':
      return { kind: 'grid', codes: places(modules, size, condition), image: null };
    case 'image':
      return encodeConditionImage(modules, input, condition.size);
  }
}

/** Where in the picture each code is. */
function places(
  modules: VqganModel,
  { width, height }: Size,
  { factor, codes }: { readonly factor: number; readonly codes: number },
): Int32Array {
  if (factor !== modules.downsampleFactor) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${modules.source.path} numbers squares of ${factor} pixels where its codes stand for ${modules.downsampleFactor}; take another model`,
    );
  }
  return coordinateIndices(height / factor, width / factor, factor, codes);
}

/** Codes of a drawing (a map of depths, of classes), made by the condition's own autoencoder of a picture as large as the one to be. */
async function encodeConditionImage(
  modules: VqganModel,
  { size, image, signal }: ConditionInput,
  shrunk: number | null,
): Promise<ConditionIndices> {
  const model = await modules.condition(signal);
  const { downsampleFactor, config } = model;
  const picture = await prepareInput(image ?? blankPage(size), {
    size,
    downsampleFactor: shrunk === null ? downsampleFactor : 1,
    channels: config.in_channels,
    signal,
  });
  const input = shrunk === null ? picture.input : nearestSquare(picture.input, shrunk);
  const { data, shape } = await indicesOf(model, input, signal);
  const [, rows = 0, columns = 0] = shape;
  const same =
    rows * modules.downsampleFactor === size.height && columns * modules.downsampleFactor === size.width;
  return { kind: same ? 'grid' : 'tokens', codes: data, image: renderDecoded(picture.input) };
}

/** `[1, C, H, W]` at `side` x `side`, as torch.nn.functional.interpolate takes nearest neighbours: floor(i * from / to). */
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
