/** Images returned by pipelines. */
import { pathOf } from '../files/destination.js';
import { writeNewOutput, writeOutput } from '../files/write.js';
import { encodeImage, imageFormatOf } from '../image/encode.js';
import { encodePng } from '../image/png.js';
import { knownKeys } from '../known-keys.js';
import * as check from '../options/check.js';
import { EXACT_KEY } from '../options/exact.js';
import { throwIfNotFinite } from '../tensor/finite.js';
import type { RgbImage } from '../tensor/render.js';
import type { Tensor } from '../tensor/tensor.js';

export interface SaveOptions {
  /** Writes the generation parameters into PNG files (default true); JPEG and WebP files never contain them. */
  readonly metadata?: boolean;
  /** Replaces an existing file; otherwise the next free name is used (`NAME-2.png`). Default false. */
  readonly overwrite?: boolean;
  /** Quality of JPEG and WebP, 1 to 100. Default 95. */
  readonly quality?: number;
}

const SAVE_KEYS: ReadonlySet<string> = new Set(['metadata', 'overwrite', 'quality']);

/** A generated or decoded image. */
export class GeneratedImage implements RgbImage {
  /** RGB bytes, row by row. */
  readonly data: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  /** Seed that reproduces the image with the same options; undefined for an image that was only decoded. */
  readonly seed: number | undefined;
  /** A1111's generation parameters; empty for an image that was only decoded. */
  readonly parameters: string;
  /** Safelight's exact options as JSON, the PNG text chunk `safelight`; empty for an image that was only decoded. */
  readonly exactOptions: string;
  /** Final latent of the sampler before decoding, `[1, C, h, w]`. */
  readonly latent: Tensor;

  constructor(
    image: RgbImage,
    info: { seed?: number; parameters?: string; exactOptions?: string; latent: Tensor },
  ) {
    this.data = image.data;
    this.width = image.width;
    this.height = image.height;
    this.seed = info.seed;
    this.parameters = info.parameters ?? '';
    this.exactOptions = info.exactOptions ?? '';
    this.latent = info.latent;
  }

  /** Encodes the image as PNG, with its parameters and exact options in text chunks. */
  async png(options: Pick<SaveOptions, 'metadata'> = {}): Promise<Uint8Array<ArrayBuffer>> {
    // `save` passes its own options, so `overwrite` is accepted.
    knownKeys('options', options, new Set(['metadata', 'overwrite']));
    const texts = { parameters: this.parameters, [EXACT_KEY]: this.exactOptions };
    const entries = Object.entries(texts).filter(([, text]) => text !== '');
    return encodePng(this, options.metadata === false ? {} : Object.fromEntries(entries));
  }

  /**
   * Writes a PNG, JPEG or WebP file according to the extension (PNG without one). Files are written atomically;
   * symbolic links are followed, FIFOs and devices are written directly, and `-` is stdout.
   * @param path a file path or a `file:` URL
   * @returns the path of the file, which differs from `path` if that exists and `overwrite` is false
   * @throws INVALID_OPTION for another extension, FILE_NOT_WRITTEN
   */
  async save(path: string | URL, options: SaveOptions = {}): Promise<string> {
    check.knownKeys('options', options, SAVE_KEYS);
    const name = pathOf(path);
    const format = imageFormatOf(name);
    const quality = check.integer('quality', options.quality ?? 95, 1, 100);
    const bytes = format === 'png' ? await this.png(options) : await encodeImage(this, format, { quality });
    if (!check.boolean('overwrite', options.overwrite ?? false)) return writeNewOutput(name, bytes);
    await writeOutput(name, bytes);
    return name;
  }
}

/** Converts a decoded tensor `[1, 3, H, W]` to bytes: round(255 * clamp(y / 2 + 0.5)). @throws NOT_FINITE */
export function toPixels(decoded: Tensor): RgbImage {
  const [, , height = 0, width = 0] = decoded.shape;
  throwIfNotFinite(decoded.data, 'The decoded image');
  const plane = width * height;
  // Uint8ClampedArray clamps and rounds halves to even as NumPy and PyTorch do, ten times faster than explicit code.
  const bytes = new Uint8ClampedArray(plane * 3);
  const { data } = decoded;
  for (let i = 0; i < plane; i++) {
    bytes[3 * i] = 255 * (data[i]! / 2 + 0.5);
    bytes[3 * i + 1] = 255 * (data[plane + i]! / 2 + 0.5);
    bytes[3 * i + 2] = 255 * (data[2 * plane + i]! / 2 + 0.5);
  }
  return { data: new Uint8Array(bytes.buffer), width, height };
}
