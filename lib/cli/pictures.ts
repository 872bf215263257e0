/** Where pictures go: names that overwrite nothing unless told to, and formats by their endings. */
import { extname } from 'node:path';
import type { RgbImage } from '../tensor/picture.js';
import { UsageError } from './failure.js';
import { checkOutput } from './output.js';

/** A picture of a pipeline, as far as saving goes. */
export interface SavedPicture extends RgbImage {
  readonly seed: number | undefined;
  png(options?: { readonly metadata?: boolean }): Promise<Uint8Array>;
}

const FORMATS: Readonly<Record<string, 'png' | 'jpeg' | 'webp'>> = {
  '': 'png',
  '.png': 'png',
  '.jpg': 'jpeg',
  '.jpeg': 'jpeg',
  '.webp': 'webp',
};
const QUALITY = 95;

/** @throws UsageError for an ending that is no picture's, FILE_NOT_WRITTEN for a place that cannot be written to */
export async function checkPictureOutput(path: string | undefined): Promise<void> {
  if (path !== undefined) formatOf(path);
  await checkOutput(path ?? 'safelight.png');
}

export interface SaveOptions {
  /** As given; undefined for a fresh name in the working folder. */
  readonly output: string | undefined;
  /** The fresh name of a picture without `output`; a number is added where it is taken. */
  readonly name: (picture: SavedPicture) => string;
  readonly metadata: boolean;
}

/**
 * Saves pictures in order. A given name is overwritten, the second and later ones get `NAME-2.png` and so on; names of our own
 * are never overwritten. @returns the files
 */
export async function savePictures(
  pictures: readonly SavedPicture[],
  { output, name, metadata }: SaveOptions,
): Promise<string[]> {
  const { numbered, writeFileAtomic, writeFileFresh } = await import('../image/save.js');
  const files: string[] = [];
  for (const [index, picture] of pictures.entries()) {
    if (output === undefined) {
      files.push(await writeFileFresh(name(picture), await picture.png({ metadata })));
      continue;
    }
    const file = index === 0 ? output : numbered(output, index + 1);
    await writeFileAtomic(file, await encoded(picture, formatOf(output), metadata));
    files.push(file);
  }
  return files;
}

function formatOf(path: string): 'png' | 'jpeg' | 'webp' {
  const format = FORMATS[extname(path).toLowerCase()];
  if (format === undefined)
    throw new UsageError(`--output ends in .png, .jpg or .webp, not '${extname(path)}'`);
  return format;
}

/** Only PNG keeps the parameters. */
async function encoded(
  picture: SavedPicture,
  format: 'png' | 'jpeg' | 'webp',
  metadata: boolean,
): Promise<Uint8Array> {
  if (format === 'png') return picture.png({ metadata });
  const { default: sharp } = await import('sharp');
  const raw = { width: picture.width, height: picture.height, channels: 3 as const };
  return sharp(picture.data, { raw }).toFormat(format, { quality: QUALITY }).toBuffer();
}
