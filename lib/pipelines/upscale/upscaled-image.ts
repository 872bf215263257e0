/** Images returned by the upscaler. */
import { pathOf } from '../../files/destination.js';
import { writeNewOutput, writeOutput } from '../../files/write.js';
import { imageFormatOf } from '../../image/encode.js';
import { encodePixels } from '../../image/encode-pixels.js';
import type { ByteImage } from '../../image/resample.js';
import * as check from '../../options/check.js';

export interface SaveUpscaledOptions {
  /** Replaces an existing file; otherwise the next free name is used (`NAME-2.png`). Default false. */
  readonly overwrite?: boolean;
  /** Quality of JPEG and WebP, 1 to 100. Default 95. */
  readonly quality?: number;
}

/** An upscaled image. */
export class UpscaledImage implements ByteImage {
  /** Interleaved bytes, row by row, `channels` per pixel. */
  readonly data: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  /** 3 (RGB), or 4 (RGBA) if the image is not opaque. */
  readonly channels: number;

  constructor({ data, width, height, channels }: ByteImage) {
    this.data = data;
    this.width = width;
    this.height = height;
    this.channels = channels;
  }

  /** Encodes the image as PNG. @throws INVALID_IMAGE */
  async png(): Promise<Uint8Array<ArrayBuffer>> {
    return encodePixels(this, 'png');
  }

  /**
   * Writes a PNG, JPEG or WebP file according to the extension (PNG without one). Files are written atomically. JPEG
   * files get a white background.
   * @param path a file path or a `file:` URL; `-` is stdout
   * @returns the path of the file, which differs from `path` if that exists and `overwrite` is false
   * @throws INVALID_OPTION for another extension, INVALID_IMAGE, FILE_NOT_WRITTEN
   */
  async save(path: string | URL, options: SaveUpscaledOptions = {}): Promise<string> {
    check.knownKeys('options', options, new Set(['overwrite', 'quality']));
    const name = pathOf(path);
    const format = imageFormatOf(name);
    const quality = check.integer('quality', options.quality ?? 95, 1, 100);
    const overwrite = check.boolean('overwrite', options.overwrite ?? false);
    const bytes = await encodePixels(this, format, quality);
    if (!overwrite) return writeNewOutput(name, bytes);
    await writeOutput(name, bytes);
    return name;
  }
}
