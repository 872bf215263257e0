/**
 * Pictures as an autoencoder with a codebook takes them. As taming's own preprocessing does it (`ImagePaths`: SmallestMaxSize, CenterCrop),
 * a picture that has to have another size is resized until it covers that, and the middle is cut out; with Pillow's antialiased Lanczos
 * filter where taming leaves OpenCV to alias.
 */
import { invalidOption } from '../../errors.js';
import { type ImageSource, type RawImage, readImage } from '../../image/read.js';
import { type ByteImage, resample } from '../../image/resample.js';
import { apiLimits } from '../../options/limits.js';
import type { RgbImage } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';

/** Of a picture in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A picture at its model's size: as bytes, and as the model's input. */
export interface PreparedInput {
  readonly image: RgbImage;
  /** `[1, C, H, W]` */
  readonly input: Tensor;
  /** Size of the source, where it was scaled down though no size was asked for. */
  readonly scaledFrom: Size | undefined;
}

export interface PrepareOptions {
  /** Pixels, multiples of `factor`; by default the picture's own, less what is over a multiple. */
  readonly size: { readonly width?: number | undefined; readonly height?: number | undefined };
  /** A picture of more pixels than that becomes of this size, unless a size is asked for. */
  readonly most?: Size | undefined;
  readonly downsampleFactor: number;
  /** The model's input: 1 gray, 3 RGB, in -1..1; of more, each a class, and the picture's gray levels are the classes. */
  readonly channels: number;
  readonly signal: AbortSignal | undefined;
}

/** @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION, ABORTED */
export async function prepareInput(source: ImageSource, options: PrepareOptions): Promise<PreparedInput> {
  const original = await readImage(source);
  const asked = askedSize(original, options);
  const size = sizeOf(original, asked, options.downsampleFactor);
  const image = middleOf(await covering(original, size, asked, options), size);
  const { channels } = options;
  return {
    image,
    input: isMap(channels) ? classes(image, channels) : levels(image, channels),
    scaledFrom: asked === options.most ? { width: original.width, height: original.height } : undefined,
  };
}

/** An empty page. */
export function blankPage({ width, height }: Size): RawImage {
  return { data: new Uint8Array(width * height).fill(255), width, height, channels: 1 };
}

function askedSize(picture: Size, { size, most, downsampleFactor }: PrepareOptions): PrepareOptions['size'] {
  if (size.width !== undefined || size.height !== undefined || most === undefined) return size;
  const codes = Math.floor(picture.width / downsampleFactor) * Math.floor(picture.height / downsampleFactor);
  return codes * downsampleFactor ** 2 > most.width * most.height ? most : {};
}

/** What is asked for, or the largest multiples of `factor` within the picture; one side alone keeps the picture's proportions. */
function sizeOf(picture: Size, { width, height }: PrepareOptions['size'], downsampleFactor: number): Size {
  const down = (side: number): number =>
    Math.max(downsampleFactor, Math.floor(side / downsampleFactor) * downsampleFactor);
  const size = {
    width: width ?? down(height === undefined ? picture.width : (picture.width * height) / picture.height),
    height: height ?? down(width === undefined ? picture.height : (picture.height * width) / picture.width),
  };
  if (
    Math.max(size.width, size.height) <= apiLimits.maxSide &&
    size.width * size.height <= apiLimits.maxPixels
  )
    return size;
  throw invalidOption(
    'image',
    `a picture of at most ${apiLimits.maxPixels} pixels, ${apiLimits.maxSide} a side (width and height make it smaller)`,
    `${size.width} x ${size.height}`,
  );
}

/** Resized to the least size that covers the other one, proportions kept; unless it is asked for none and covers it by itself. */
async function covering(
  picture: ByteImage,
  size: Size,
  asked: PrepareOptions['size'],
  { channels, signal }: PrepareOptions,
): Promise<ByteImage> {
  const given = asked.width !== undefined || asked.height !== undefined;
  if (!given && picture.width >= size.width && picture.height >= size.height) return picture;
  const scale = Math.max(size.width / picture.width, size.height / picture.height);
  const width = Math.max(size.width, Math.round(picture.width * scale));
  const height = Math.max(size.height, Math.round(picture.height * scale));
  if (width * height > 4 * apiLimits.maxPixels)
    throw invalidOption(
      'image',
      'a picture of less extreme proportions',
      `${picture.width} x ${picture.height}`,
    );
  return isMap(channels)
    ? nearest(picture, width, height)
    : resample(picture, width, height, 'lanczos', signal);
}

function middleOf(picture: ByteImage, { width, height }: Size): ByteImage {
  const { data, channels } = picture;
  const top = Math.floor((picture.height - height) / 2);
  const left = Math.floor((picture.width - width) / 2);
  const out = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * picture.width + left) * channels;
    out.set(data.subarray(from, from + width * channels), y * width * channels);
  }
  return { data: out, width, height, channels };
}

/** Classes have no values between them. */
function nearest(picture: ByteImage, width: number, height: number): ByteImage {
  const { data, channels } = picture;
  const out = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * picture.height) / height) * picture.width;
    for (let x = 0; x < width; x++) {
      const from = (row + Math.floor(((x + 0.5) * picture.width) / width)) * channels;
      out.set(data.subarray(from, from + channels), (y * width + x) * channels);
    }
  }
  return { data: out, width, height, channels };
}

function isMap(channels: number): boolean {
  return channels !== 1 && channels !== 3;
}

/** x / 127.5 - 1; gray by ITU-R 601, in Pillow's fixed point. */
function levels({ data, width, height }: ByteImage, channels: number): Tensor {
  const plane = width * height;
  const out = new Float32Array(channels * plane);
  for (let i = 0; i < plane; i++) {
    const [r, g, b] = [data[i * 3]!, data[i * 3 + 1]!, data[i * 3 + 2]!];
    if (channels === 1) out[i] = ((r * 19595 + g * 38470 + b * 7471 + 32768) >> 16) / 127.5 - 1;
    else for (const [c, value] of [r, g, b].entries()) out[c * plane + i] = value / 127.5 - 1;
  }
  return new Tensor(out, [1, channels, height, width]);
}

/** Each pixel's class as a one among zeros, as taming's segmentation models take them. */
function classes({ data, width, height }: ByteImage, count: number): Tensor {
  const plane = width * height;
  const out = new Float32Array(count * plane);
  for (let i = 0; i < plane; i++) {
    const found = data[i * 3]!;
    if (found >= count)
      throw invalidOption('image', `a map of classes: gray levels of 0 to ${count - 1}`, found);
    out[found * plane + i] = 1;
  }
  return new Tensor(out, [1, count, height, width]);
}
