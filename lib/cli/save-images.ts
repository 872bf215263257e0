/** Names the files of images: existing files are kept unless the user names one, and the extension chooses the format. */
import type { RgbImage } from '../tensor/render.js';
import { UsageError } from './failure.js';
import { checkOutput } from './output.js';

/** An image of a pipeline, as far as saving goes. */
export interface SavedImage extends RgbImage {
  readonly seed: number | undefined;
  png(options?: { readonly metadata?: boolean }): Promise<Uint8Array>;
}

/**
 * @throws UsageError for an extension that is no image's, and for `-` with `json` or a terminal; FILE_NOT_WRITTEN for a place that cannot be
 *   written to
 */
export async function checkImageOutput(path: string | undefined, json: boolean | undefined): Promise<void> {
  if (path !== undefined) await formatOf(path);
  await checkOutput(path ?? 'safelight.png', json);
}

export interface SaveOptions {
  /** As given; undefined for a fresh name in the working folder. */
  readonly output: string | undefined;
  /** The fresh name of an image without `output`; a number is added where it is taken. */
  readonly name: (picture: SavedImage) => string;
  readonly metadata: boolean;
}

/**
 * Saves images in order. A named file is overwritten, the second and later ones get `NAME-2.png` and so on; all go through the same stdout,
 * FIFO or device, one after the other. Names of our own are never overwritten. @returns the files
 */
export async function saveImages(
  pictures: readonly SavedImage[],
  { output, name, metadata }: SaveOptions,
): Promise<string[]> {
  const { numbered, writeNewOutput, writeOutput } = await import('../files/write.js');
  const files: string[] = [];
  if (output === undefined) {
    for (const picture of pictures)
      files.push(await writeNewOutput(name(picture), await picture.png({ metadata })));
    return files;
  }
  const { destinationOf } = await import('../files/destination.js');
  const isFile = (await destinationOf(output)).kind === 'file';
  const format = await formatOf(output);
  const { encodeImage } = await import('../image/encode.js');
  // Only PNG keeps the parameters.
  const encoded = (picture: SavedImage): Promise<Uint8Array> =>
    format === 'png' ? picture.png({ metadata }) : encodeImage(picture, format);
  if (!isFile) {
    // In one go: the reader of a FIFO sees its end when it is closed.
    await writeOutput(output, Buffer.concat(await Promise.all(pictures.map(encoded))));
    return pictures.map(() => output);
  }
  for (const [index, picture] of pictures.entries()) {
    const file = index === 0 ? output : numbered(output, index + 1);
    await writeOutput(file, await encoded(picture));
    files.push(file);
  }
  return files;
}

async function formatOf(path: string): Promise<'png' | 'jpeg' | 'webp'> {
  const { imageFormatOf } = await import('../image/encode.js');
  try {
    return imageFormatOf(path);
  } catch {
    const { extname } = await import('node:path');
    throw new UsageError(`--output ends in .png, .jpg or .webp, not '${extname(path)}'`);
  }
}
