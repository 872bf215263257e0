/** The picture that a pipeline gives. */
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
  /** Writes the parameters into a PNG (default true); JPEG and WebP hold none. */
  readonly metadata?: boolean;
  /** Replaces an existing file; otherwise the next free name is taken (`NAME-2.png`). Default false. */
  readonly overwrite?: boolean;
  /** Of JPEG and WebP, 1 to 100; default 95. */
  readonly quality?: number;
}

const SAVE_KEYS: ReadonlySet<string> = new Set(['metadata', 'overwrite', 'quality']);

export class GeneratedImage implements RgbImage {
  /** Red, green, blue bytes, row by row. */
  readonly data: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  /** Of its noise; the same settings with this seed give this picture again. Undefined where there was none. */
  readonly seed: number | undefined;
  /** A1111's generation parameters; empty for a picture that was only decoded. */
  readonly parameters: string;
  /** Safelight's exact options as JSON, the PNG text `safelight`; empty for an image that was only decoded. */
  readonly exactOptions: string;
  /** `[1, C, h, w]` as the sampler left it, before decoding. */
  readonly latent: Tensor;

  constructor(
    image: RgbImage,
    made: { seed?: number; parameters?: string; exactOptions?: string; latent: Tensor },
  ) {
    this.data = image.data;
    this.width = image.width;
    this.height = image.height;
    this.seed = made.seed;
    this.parameters = made.parameters ?? '';
    this.exactOptions = made.exactOptions ?? '';
    this.latent = made.latent;
  }

  /** The image as a PNG file, with its parameters and exact options in text chunks. */
  async png(options: Pick<SaveOptions, 'metadata'> = {}): Promise<Uint8Array<ArrayBuffer>> {
    // `save` hands its own options on.
    knownKeys('options', options, new Set(['metadata', 'overwrite']));
    const texts = { parameters: this.parameters, [EXACT_KEY]: this.exactOptions };
    const given = Object.entries(texts).filter(([, text]) => text !== '');
    return encodePng(this, options.metadata === false ? {} : Object.fromEntries(given));
  }

  /**
   * Writes a PNG, JPEG or WebP file, by the extension of its name (PNG without one), whole or not at all. Symbolic links are followed; FIFOs and
   * devices are written through, and `-` is stdout.
   * @param path a file path or a `file:` URL
   * @returns the path written: another one than `path` where that exists and `overwrite` is not set
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

/** Pixels of a decoded `[1, 3, H, W]`: round(255 * clamp(y / 2 + 0.5)). @throws NOT_FINITE */
export function toPixels(decoded: Tensor): RgbImage {
  const [, , height = 0, width = 0] = decoded.shape;
  throwIfNotFinite(decoded.data, 'The decoded picture');
  const plane = width * height;
  // Clamps, and rounds halves to the even number, as NumPy's and torch's round does; a tenth of the time of doing so by hand.
  const bytes = new Uint8ClampedArray(plane * 3);
  const { data } = decoded;
  for (let i = 0; i < plane; i++) {
    bytes[3 * i] = 255 * (data[i]! / 2 + 0.5);
    bytes[3 * i + 1] = 255 * (data[plane + i]! / 2 + 0.5);
    bytes[3 * i + 2] = 255 * (data[2 * plane + i]! / 2 + 0.5);
  }
  return { data: new Uint8Array(bytes.buffer), width, height };
}
