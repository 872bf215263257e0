/** Thumbnails of adapters, made on demand from the images beside them. */
import { stat } from 'node:fs/promises';
import { SafelightError } from '../../errors.js';
import { FileCache } from '../../files/file-cache.js';
import { openRegular, readFully } from '../../files/read.js';
import { loadSharp } from '../../image/sharp.js';

export interface Thumbnail {
  /** WebP file of at most `SIDE` pixels per side. */
  readonly data: Buffer;
  /** Identifies the version of the image, for the header `ETag`. */
  readonly tag: string;
}

/** Maximum side length in pixels. */
const SIDE = 256;
/** Limits far above real previews, so that no file can exhaust the memory. */
const MAX_BYTES = 64 * 2 ** 20;
const MAX_PIXELS = 100e6;
/** Formats that are decoded, whatever the ending of the name; others, such as SVG, could refer to further files. */
const FORMATS: ReadonlySet<string | undefined> = new Set(['png', 'jpeg', 'webp']);

/** Thumbnails by the path of their image, cached until the image changes. */
export class Thumbnails {
  private readonly cache = new FileCache(shrink);

  /** @throws FILE_NOT_FOUND for a missing image and for a file that is none */
  async get(path: string): Promise<Thumbnail> {
    try {
      const { size, mtimeMs } = await stat(path);
      const data = await this.cache.get(path);
      return { data, tag: `"${size.toString(16)}-${Math.round(mtimeMs).toString(16)}"` };
    } catch (error) {
      throw new SafelightError(
        'FILE_NOT_FOUND',
        `The preview image cannot be read: ${reasonOf(error)}; replace it by a PNG, JPEG or WebP image`,
        { cause: error },
      );
    }
  }
}

async function shrink(path: string): Promise<Buffer> {
  const { handle, size } = await openRegular(path);
  try {
    if (size > MAX_BYTES) throw new Error(`it has ${size} bytes, expected at most ${MAX_BYTES}`);
    const bytes = new Uint8Array(size);
    await readFully(handle, bytes, 0, path);
    const sharp = await loadSharp();
    const image = sharp(bytes, { limitInputPixels: MAX_PIXELS });
    const { format } = await image.metadata();
    if (!FORMATS.has(format)) throw new Error(`its format is ${format}`);
    return await image
      .autoOrient()
      .resize({ width: SIDE, height: SIDE, fit: 'inside', withoutEnlargement: true })
      .webp({ quality: 82 })
      .toBuffer();
  } finally {
    await handle.close();
  }
}

/** Returns the reason without the path, which clients need not know. */
function reasonOf(error: unknown): string {
  if (error instanceof SafelightError || (error as NodeJS.ErrnoException).code !== undefined)
    return 'the file is missing, incomplete or not readable';
  return error instanceof Error ? error.message : String(error);
}
