/** What a transformer reads before a picture's codes. */
import { SafelightError } from '../../errors.js';
import type { ImageSource } from '../../image/read.js';
import { coordinateCodes } from '../../sampling/autoregressive/coordinates.js';
import type { RgbImage } from '../../tensor/picture.js';
import { Tensor } from '../../tensor/tensor.js';
import type { CodesModules } from './modules.js';
import { blankPage, preparePicture, type Size } from './picture.js';
import { pictureOf } from './pixels.js';
import { indicesOf } from './reconstruct.js';

/** Codes before those of the picture. */
export interface ConditionCodes {
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
export async function conditionCodes(modules: CodesModules, input: ConditionInput): Promise<ConditionCodes> {
  const { condition } = modules.source;
  const { size, index } = input;
  const tokens = (code: number) =>
    ({ kind: 'tokens', codes: Int32Array.of(code), image: null }) satisfies ConditionCodes;
  switch (condition.kind) {
    case 'none':
      return tokens(condition.start);
    case 'class':
      return tokens(index ?? 0);
    case 'coordinates':
      return { kind: 'grid', codes: places(modules, size, condition), image: null };
    case 'image':
      return drawingCodes(modules, input, condition.size);
  }
}

/** Where in the picture each code is. */
function places(
  modules: CodesModules,
  { width, height }: Size,
  { factor, codes }: { readonly factor: number; readonly codes: number },
): Int32Array {
  if (factor !== modules.factor) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${modules.source.path} numbers squares of ${factor} pixels where its codes stand for ${modules.factor}; take another model`,
    );
  }
  return coordinateCodes(height / factor, width / factor, factor, codes);
}

/** Codes of a drawing (a map of depths, of classes), made by the condition's own autoencoder of a picture as large as the one to be. */
async function drawingCodes(
  modules: CodesModules,
  { size, image, signal }: ConditionInput,
  shrunk: number | null,
): Promise<ConditionCodes> {
  const model = await modules.condition(signal);
  const { factor, config } = model;
  const picture = await preparePicture(image ?? blankPage(size), {
    size,
    factor: shrunk === null ? factor : 1,
    channels: config.in_channels,
    signal,
  });
  const input = shrunk === null ? picture.input : nearestSquare(picture.input, shrunk);
  const { data, shape } = await indicesOf(model, input, signal);
  const [, rows = 0, columns = 0] = shape;
  const same = rows * modules.factor === size.height && columns * modules.factor === size.width;
  return { kind: same ? 'grid' : 'tokens', codes: data, image: pictureOf(picture.input) };
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
