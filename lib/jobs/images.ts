/** Images of a request: stored as files when the job is submitted, so that the job itself stays small. */
import { invalidOption, SafelightError } from '../errors.js';
import { parseDataUri } from '../image/data-uri.js';
import { readImage } from '../image/read.js';
import type { Json } from './json.js';
import type { JobFiles, RequestFiles } from './store/data-folder.js';
import type { Job, JobOptions } from './types.js';

/** Options that are images. */
const IMAGES = ['init', 'mask', 'image'] as const;

/** Pixels that images may have. */
export interface ImageLimits {
  /** Limit for an image in a request; default 2^26. */
  readonly maxInputPixels?: number | undefined;
  /** Limit for a result; default `maxInputPixels`. */
  readonly maxPixels?: number | undefined;
}

/**
 * Decodes the images among the options, writes them to the job's folder and replaces them by references.
 * @throws INVALID_IMAGE, INVALID_OPTION for one whose result would be larger than allowed, FILE_NOT_FOUND for a result that is not there,
 *   FILE_NOT_WRITTEN
 */
export async function storeImages(
  { id, type, options }: Pick<Job, 'id' | 'type' | 'options'>,
  data: RequestFiles,
  { maxInputPixels = 2 ** 26, maxPixels = maxInputPixels }: ImageLimits,
): Promise<JobOptions> {
  const stored: Record<string, Json> = { ...options };
  for (const name of IMAGES) {
    const given = options[name];
    if (given === undefined) continue;
    const bytes = await imageBytes(name, given, data);
    const size = await readImage(bytes, { maxPixels: maxInputPixels });
    if (name === 'init' || type === 'reconstruct') checkResult(name, size, options, maxPixels);
    await data.writeInput(id, name, bytes);
    stored[name] = { file: name };
  }
  return stored;
}

/** Checks the size of the result: that of the image, unless the options name another. */
function checkResult(
  name: string,
  image: { readonly width: number; readonly height: number },
  { width, height }: JobOptions,
  maxPixels: number,
): void {
  const pixels = Number(width ?? image.width) * Number(height ?? image.height);
  if (pixels <= maxPixels) return;
  throw invalidOption(
    name,
    `an image of at most ${maxPixels} pixels (or width and height to make it smaller)`,
    `${image.width} x ${image.height}`,
  );
}

/** Reads the images of a submitted job. @throws FILE_NOT_FOUND */
export async function readImages(
  id: string,
  options: JobOptions,
  data: JobFiles,
): Promise<Record<string, Uint8Array>> {
  const images: Record<string, Uint8Array> = {};
  for (const name of IMAGES) {
    const given = options[name];
    if (isStored(given)) images[name] = await data.readInput(id, given.file);
  }
  return images;
}

/** Returns the options that are no images. */
export function withoutImages(options: JobOptions): Record<string, Json> {
  const rest: Record<string, Json> = { ...options };
  for (const name of IMAGES) delete rest[name];
  return rest;
}

export function isImageOption(name: string): boolean {
  return IMAGES.some((one) => one === name);
}

async function imageBytes(name: string, given: Json, data: RequestFiles): Promise<Uint8Array> {
  if (typeof given === 'string') return decodeBase64(name, given);
  const { job, image, input } = given as { job: string; image?: string; input?: string };
  return input === undefined ? data.readResult(job, String(image)) : data.readInput(job, input);
}

/** Decodes base64, plain or as a data URI. @throws INVALID_IMAGE */
export function decodeBase64(name: string, text: string): Uint8Array {
  if (/^\s*data:/i.test(text)) return parseDataUri(text.trim());
  const bytes = /^[A-Za-z0-9+/_-\s]*={0,2}\s*$/.test(text) ? Buffer.from(text, 'base64') : undefined;
  if (!bytes?.length) {
    throw new SafelightError(
      'INVALID_IMAGE',
      `${name} is not an image: send its bytes in base64, or as a data URI`,
    );
  }
  return bytes;
}

function isStored(value: Json | undefined): value is { readonly file: string } {
  return typeof value === 'object' && value !== null && 'file' in value;
}
