/**
 * Preprocessing of images for VQGAN autoencoders. As in taming (`ImagePaths`: SmallestMaxSize, CenterCrop), images
 * are resized to cover the target size and cropped at the centre, but with Pillow's antialiased Lanczos filter
 * instead of OpenCV's aliasing one.
 */
import { invalidOption } from '../../errors.js';
import { type ImageSource, type RawImage, readImage } from '../../image/read.js';
import { type ByteImage, resample } from '../../image/resample.js';
import { apiLimits } from '../../options/limits.js';
import type { RgbImage } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';

/** Size of an image in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** An image at the size of the model, as bytes and as input tensor. */
export interface PreparedInput {
  readonly image: RgbImage;
  /** `[1, C, H, W]` */
  readonly input: Tensor;
  /** Size of the source, if it was scaled down without a requested size. */
  readonly scaledFrom: Size | undefined;
}

export interface PrepareOptions {
  /** Requested size in pixels, multiples of `downsampleFactor`; default the image's size rounded down to multiples. */
  readonly size: { readonly width?: number | undefined; readonly height?: number | undefined };
  /** Images with more pixels are scaled down to this size, unless a size is requested. */
  readonly maxSize?: Size | undefined;
  readonly downsampleFactor: number;
  /**
   * Input channels: 1 for grey or 3 for RGB in -1..1; any other number for one-hot classes, which are the image's
   * grey levels.
   */
  readonly channels: number;
  readonly signal: AbortSignal | undefined;
}

/** Reads, resizes and crops an image. @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION, ABORTED */
export async function prepareInput(source: ImageSource, options: PrepareOptions): Promise<PreparedInput> {
  const original = await readImage(source);
  const requested = requestedSize(original, options);
  const size = sizeOf(original, requested, options.downsampleFactor);
  const image = cropCenter(await resizeToCover(original, size, requested, options), size);
  const { channels } = options;
  return {
    image,
    input: isMap(channels) ? classes(image, channels) : levels(image, channels),
    scaledFrom:
      requested === options.maxSize ? { width: original.width, height: original.height } : undefined,
  };
}

/** Creates a white image. */
export function whiteImage({ width, height }: Size): RawImage {
  return { data: new Uint8Array(width * height).fill(255), width, height, channels: 1 };
}

/** Returns the requested size, or `maxSize` for larger images. */
function requestedSize(
  image: Size,
  { size, maxSize, downsampleFactor }: PrepareOptions,
): PrepareOptions['size'] {
  if (size.width !== undefined || size.height !== undefined || maxSize === undefined) return size;
  const codes = Math.floor(image.width / downsampleFactor) * Math.floor(image.height / downsampleFactor);
  return codes * downsampleFactor ** 2 > maxSize.width * maxSize.height ? maxSize : {};
}

/**
 * Completes a requested size: missing sides are the image's, rounded down to multiples; with one side, the other
 * follows the aspect ratio.
 */
function sizeOf(image: Size, { width, height }: PrepareOptions['size'], downsampleFactor: number): Size {
  const down = (side: number): number =>
    Math.max(downsampleFactor, Math.floor(side / downsampleFactor) * downsampleFactor);
  const size = {
    width: width ?? down(height === undefined ? image.width : (image.width * height) / image.height),
    height: height ?? down(width === undefined ? image.height : (image.height * width) / image.width),
  };
  if (
    Math.max(size.width, size.height) <= apiLimits.maxSide &&
    size.width * size.height <= apiLimits.maxPixels
  )
    return size;
  throw invalidOption(
    'image',
    `an image of at most ${apiLimits.maxPixels} pixels and ${apiLimits.maxSide} pixels per side (set width and height to scale it down)`,
    `${size.width} x ${size.height}`,
  );
}

/**
 * Resizes an image to the smallest size of its aspect ratio that covers `size`; without a requested size, only images
 * that are too small.
 */
async function resizeToCover(
  image: ByteImage,
  size: Size,
  requested: PrepareOptions['size'],
  { channels, signal }: PrepareOptions,
): Promise<ByteImage> {
  const hasRequest = requested.width !== undefined || requested.height !== undefined;
  if (!hasRequest && image.width >= size.width && image.height >= size.height) return image;
  const scale = Math.max(size.width / image.width, size.height / image.height);
  const width = Math.max(size.width, Math.round(image.width * scale));
  const height = Math.max(size.height, Math.round(image.height * scale));
  if (width * height > 4 * apiLimits.maxPixels)
    throw invalidOption(
      'image',
      'an image with a less extreme aspect ratio',
      `${image.width} x ${image.height}`,
    );
  return isMap(channels) ? nearest(image, width, height) : resample(image, width, height, 'lanczos', signal);
}

function cropCenter(image: ByteImage, { width, height }: Size): ByteImage {
  const { data, channels } = image;
  const top = Math.floor((image.height - height) / 2);
  const left = Math.floor((image.width - width) / 2);
  const out = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * channels;
    out.set(data.subarray(from, from + width * channels), y * width * channels);
  }
  return { data: out, width, height, channels };
}

/** Resizes by nearest neighbour, because classes cannot be interpolated. */
function nearest(image: ByteImage, width: number, height: number): ByteImage {
  const { data, channels } = image;
  const out = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * image.height) / height) * image.width;
    for (let x = 0; x < width; x++) {
      const from = (row + Math.floor(((x + 0.5) * image.width) / width)) * channels;
      out.set(data.subarray(from, from + channels), (y * width + x) * channels);
    }
  }
  return { data: out, width, height, channels };
}

/** True for models whose input channels are one-hot classes. */
function isMap(channels: number): boolean {
  return channels !== 1 && channels !== 3;
}

/** Scales bytes to x / 127.5 - 1; grey by ITU-R 601 in Pillow's fixed-point arithmetic. */
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

/** Encodes the class of each pixel as one-hot channels, the input of taming's segmentation models. */
function classes({ data, width, height }: ByteImage, count: number): Tensor {
  const plane = width * height;
  const out = new Float32Array(count * plane);
  for (let i = 0; i < plane; i++) {
    const label = data[i * 3]!;
    if (label >= count)
      throw invalidOption('image', `a segmentation map with grey levels from 0 to ${count - 1}`, label);
    out[label * plane + i] = 1;
  }
  return new Tensor(out, [1, count, height, width]);
}
