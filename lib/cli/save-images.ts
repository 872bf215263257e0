/** Saves images. The file extension selects the format; existing files are replaced only if the user named them. */
import type { RgbImage } from '../tensor/render.js';
import { UsageError } from './failure.js';
import { checkOutput } from './output.js';

/** The part of a generated image that is needed to save it. */
export interface SavedImage extends RgbImage {
  readonly seed: number | undefined;
  png(options?: { readonly metadata?: boolean }): Promise<Uint8Array>;
}

/**
 * Checks an output path before any work is done.
 * @throws UsageError for an unknown extension, and for `-` with `json` or a terminal; FILE_NOT_WRITTEN for a path
 *   that cannot be written
 */
export async function checkImageOutput(path: string | undefined, json: boolean | undefined): Promise<void> {
  if (path !== undefined) await formatOf(path);
  await checkOutput(path ?? 'safelight.png', json);
}

export interface SaveOptions {
  /** Output path; undefined for a new file in the working folder. */
  readonly output: string | undefined;
  /** Name of a new file if there is no `output`; a number is appended if it exists. */
  readonly name: (image: SavedImage) => string;
  readonly metadata: boolean;
}

/**
 * Saves images in order. A file named by `output` is replaced; further images are saved as `NAME-2.png` and so on.
 * Stdout, a FIFO or a device receives all images one after the other. Without `output`, existing files are never
 * replaced.
 * @returns the paths of the files
 */
export async function saveImages(
  images: readonly SavedImage[],
  { output, name, metadata }: SaveOptions,
): Promise<string[]> {
  const { numbered, writeNewOutput, writeOutput } = await import('../files/write.js');
  const files: string[] = [];
  if (output === undefined) {
    for (const image of images) files.push(await writeNewOutput(name(image), await image.png({ metadata })));
    return files;
  }
  const { destinationOf } = await import('../files/destination.js');
  const isFile = (await destinationOf(output)).kind === 'file';
  const format = await formatOf(output);
  const { encodeImage } = await import('../image/encode.js');
  // Only PNG contains the generation parameters.
  const encode = (image: SavedImage): Promise<Uint8Array> =>
    format === 'png' ? image.png({ metadata }) : encodeImage(image, format);
  if (!isFile) {
    // Written at once, because closing a FIFO ends the stream for its reader.
    await writeOutput(output, Buffer.concat(await Promise.all(images.map(encode))));
    return images.map(() => output);
  }
  for (const [index, image] of images.entries()) {
    const file = index === 0 ? output : numbered(output, index + 1);
    await writeOutput(file, await encode(image));
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
    throw new UsageError(`Expected --output to end in .png, .jpg or .webp, received '${extname(path)}'`);
  }
}
