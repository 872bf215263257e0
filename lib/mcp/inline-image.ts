/** Reduces images so that the result of a call fits in the limits of common clients. */
import sharp from 'sharp';

/**
 * Characters of base64 of all images in a result. Clients reject results of more than about 1 MiB, or fill the context of
 * their model with them.
 */
export const MAX_INLINE = 1_000_000;
/** Sides in pixels tried for a JPEG. */
const SIDES = [Number.POSITIVE_INFINITY, 1536, 1024, 768, 512, 384, 256];
const QUALITY = 90;

export interface InlineImage {
  /** Base64. */
  readonly data: string;
  /** Media type. */
  readonly type: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

export interface ImageFile {
  readonly bytes: Uint8Array;
  readonly type: string;
  readonly width: number;
  readonly height: number;
}

/**
 * Returns the image itself if its base64 has at most `limit` characters; otherwise a JPEG, reduced in size if necessary;
 * undefined if even a JPEG of 256 pixels is larger.
 */
export async function inlineImage(
  { bytes, ...image }: ImageFile,
  limit: number,
): Promise<InlineImage | undefined> {
  if (base64Length(bytes.length) <= limit) return { ...image, data: Buffer.from(bytes).toString('base64') };
  const longest = Math.max(image.width, image.height);
  for (const side of SIDES) {
    if (side >= longest && side !== Number.POSITIVE_INFINITY) continue;
    const source = sharp(bytes).flatten({ background: '#ffffff' });
    const resized = side >= longest ? source : source.resize({ width: side, height: side, fit: 'inside' });
    const { data, info } = await resized.jpeg({ quality: QUALITY }).toBuffer({ resolveWithObject: true });
    if (base64Length(data.length) <= limit)
      return { data: data.toString('base64'), type: 'image/jpeg', width: info.width, height: info.height };
  }
  return undefined;
}

function base64Length(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}
