/**
 * Images in job requests. They are stored as files when a job is submitted, so that the job record stays
 * small.
 */
import { invalidOption, SafelightError } from '../errors.js';
import { parseDataUri } from '../image/data-uri.js';
import { readImage } from '../image/read.js';
import type { Json } from './json.js';
import type { JobFiles, RequestFiles } from './store/data-folder.js';
import type { Job, JobOptions } from './types.js';

/** Names of the options that contain images. */
const IMAGE_OPTIONS = ['init', 'mask', 'image'] as const;

/** Limits on the number of pixels of images. */
export interface ImageLimits {
  /** Limit for an image in a request, in pixels; default 2^26. */
  readonly maxInputPixels?: number | undefined;
  /** Limit for a generated image, in pixels; default `maxInputPixels`. */
  readonly maxPixels?: number | undefined;
}

/**
 * Decodes the images among the options, writes them to the job's folder and replaces them with file references.
 * @throws INVALID_IMAGE, INVALID_OPTION if the generated image would exceed `maxPixels`, FILE_NOT_FOUND if a
 *   referenced result or input does not exist, FILE_NOT_WRITTEN
 */
export async function storeImages(
  { id, type, options }: Pick<Job, 'id' | 'type' | 'options'>,
  data: RequestFiles,
  { maxInputPixels = 2 ** 26, maxPixels = maxInputPixels }: ImageLimits,
): Promise<JobOptions> {
  const stored: Record<string, Json> = { ...options };
  for (const name of IMAGE_OPTIONS) {
    const value = options[name];
    if (value === undefined) continue;
    const bytes = await imageBytes(name, value, data);
    const size = await readImage(bytes, { maxPixels: maxInputPixels });
    if (name === 'init' || type === 'reconstruct') checkResult(name, size, options, maxPixels);
    await data.writeInput(id, name, bytes);
    stored[name] = { file: name };
  }
  return stored;
}

/**
 * Checks the size of the generated image: `width` and `height` of the options, or else the size of the input
 * image.
 */
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
    `an image of at most ${maxPixels} pixels (or set a smaller width and height)`,
    `${image.width} x ${image.height}`,
  );
}

/** Reads the stored images of a submitted job. @throws FILE_NOT_FOUND */
export async function readImages(
  id: string,
  options: JobOptions,
  data: JobFiles,
): Promise<Record<string, Uint8Array>> {
  const images: Record<string, Uint8Array> = {};
  for (const name of IMAGE_OPTIONS) {
    const value = options[name];
    if (isStored(value)) images[name] = await data.readInput(id, value.file);
  }
  return images;
}

/** Returns the options without those that contain images. */
export function withoutImages(options: JobOptions): Record<string, Json> {
  const rest: Record<string, Json> = { ...options };
  for (const name of IMAGE_OPTIONS) delete rest[name];
  return rest;
}

export function isImageOption(name: string): boolean {
  return IMAGE_OPTIONS.some((option) => option === name);
}

async function imageBytes(name: string, value: Json, data: RequestFiles): Promise<Uint8Array> {
  if (typeof value === 'string') return decodeBase64(name, value);
  const { job, image, input } = value as { job: string; image?: string; input?: string };
  return input === undefined ? data.readResult(job, String(image)) : data.readInput(job, input);
}

/** Decodes base64, plain or as a data URI. @throws INVALID_IMAGE */
export function decodeBase64(name: string, text: string): Uint8Array {
  if (/^\s*data:/i.test(text)) return parseDataUri(text.trim());
  const bytes = /^[A-Za-z0-9+/_-\s]*={0,2}\s*$/.test(text) ? Buffer.from(text, 'base64') : undefined;
  if (!bytes?.length) {
    throw new SafelightError(
      'INVALID_IMAGE',
      `${name} is not an image; send its bytes as base64 or as a data URI`,
    );
  }
  return bytes;
}

function isStored(value: Json | undefined): value is { readonly file: string } {
  return typeof value === 'object' && value !== null && 'file' in value;
}
