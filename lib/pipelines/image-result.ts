/** The picture that a pipeline gives. */
import { encodePng } from '../image/png.js';
import { writeFileAtomic, writeFileFresh } from '../image/save.js';
import type { RgbImage } from '../tensor/picture.js';
import type { Tensor } from '../tensor/tensor.js';
import { throwIfNotFinite } from './finite.js';

export interface SaveOptions {
  /** Whether the PNG says how it was made (default true). */
  readonly metadata?: boolean;
  /** Replaces an existing file; otherwise the next free name is taken (`NAME-2.png`). Default false. */
  readonly overwrite?: boolean;
}

export class GeneratedImage implements RgbImage {
  /** Red, green, blue bytes, row by row. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Of its noise; the same settings with this seed give this picture again. Undefined where there was none. */
  readonly seed: number | undefined;
  /** A1111's generation parameters; empty for a picture that was only decoded. */
  readonly parameters: string;
  /** `[1, C, h, w]` as the sampler left it, before decoding. */
  readonly latent: Tensor;

  constructor(image: RgbImage, made: { seed?: number; parameters?: string; latent: Tensor }) {
    this.data = image.data;
    this.width = image.width;
    this.height = image.height;
    this.seed = made.seed;
    this.parameters = made.parameters ?? '';
    this.latent = made.latent;
  }

  /** The picture as a PNG file, with its parameters in a text chunk. */
  png(options: Pick<SaveOptions, 'metadata'> = {}): Promise<Uint8Array> {
    const withText = options.metadata !== false && this.parameters !== '';
    return encodePng(this, withText ? { parameters: this.parameters } : {});
  }

  /** Writes the PNG whole or not at all. @returns the path written. @throws FILE_NOT_WRITTEN */
  async save(path: string, options: SaveOptions = {}): Promise<string> {
    const png = await this.png(options);
    if (!options.overwrite) return writeFileFresh(path, png);
    await writeFileAtomic(path, png);
    return path;
  }
}

/** Pixels of a decoded `[1, 3, H, W]`: round(255 * clamp(y / 2 + 0.5)). @throws NOT_FINITE */
export function toPixels(decoded: Tensor): RgbImage {
  const [, , height = 0, width = 0] = decoded.shape;
  throwIfNotFinite(decoded.data, 'The decoded picture');
  const plane = width * height;
  const data = new Uint8Array(plane * 3);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < plane; i++) data[i * 3 + c] = toByte(decoded.data[c * plane + i]!);
  }
  return { data, width, height };
}

/** Halves go to the even number, as NumPy's and torch's round does. */
function toByte(y: number): number {
  const scaled = 255 * Math.min(1, Math.max(0, y / 2 + 0.5));
  const down = Math.floor(scaled);
  const rest = scaled - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
