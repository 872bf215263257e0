/** Pictures of a request: taken out of it when the job is submitted, so that the job itself stays small and can travel. */
import { invalidOption, SafelightError } from '../errors.js';
import { parseDataUri } from '../image/data-uri.js';
import { readImage } from '../image/read.js';
import type { Json } from './json.js';
import type { JobFiles, RequestFiles } from './store/data-folder.js';
import type { Job, JobOptions } from './types.js';

/** Options that are pictures. */
const PICTURES = ['init', 'mask', 'image'] as const;

/** Pixels that pictures may have. */
export interface PictureLimits {
  /** Of one that is sent; default 2^26. */
  readonly maxInputPixels?: number | undefined;
  /** Of one that is made; default as for those sent. */
  readonly maxPixels?: number | undefined;
}

/**
 * Writes the pictures among the options to the job's folder, each once looked at, and names them instead.
 * @throws INVALID_IMAGE, INVALID_OPTION for one from which a picture larger than allowed would be made, FILE_NOT_FOUND for a result that is
 *   not there, FILE_NOT_WRITTEN
 */
export async function storePictures(
  { id, type, options }: Pick<Job, 'id' | 'type' | 'options'>,
  data: RequestFiles,
  { maxInputPixels = 2 ** 26, maxPixels = maxInputPixels }: PictureLimits,
): Promise<JobOptions> {
  const stored: Record<string, Json> = { ...options };
  for (const name of PICTURES) {
    const given = options[name];
    if (given === undefined) continue;
    const bytes = await pictureBytes(name, given, data);
    const size = await readImage(bytes, { maxPixels: maxInputPixels });
    if (name === 'init' || type === 'reconstruct') checkResult(name, size, options, maxPixels);
    await data.writeInput(id, name, bytes);
    stored[name] = { file: name };
  }
  return stored;
}

/** What is made of a picture has its size, unless another is asked for. */
function checkResult(
  name: string,
  picture: { readonly width: number; readonly height: number },
  { width, height }: JobOptions,
  maxPixels: number,
): void {
  const pixels = Number(width ?? picture.width) * Number(height ?? picture.height);
  if (pixels <= maxPixels) return;
  throw invalidOption(
    name,
    `a picture of at most ${maxPixels} pixels (or width and height to make it smaller)`,
    `${picture.width} x ${picture.height}`,
  );
}

/** The pictures of a submitted job. @throws FILE_NOT_FOUND */
export async function readPictures(
  id: string,
  options: JobOptions,
  data: JobFiles,
): Promise<Record<string, Uint8Array>> {
  const pictures: Record<string, Uint8Array> = {};
  for (const name of PICTURES) {
    const given = options[name];
    if (isStored(given)) pictures[name] = await data.readInput(id, given.file);
  }
  return pictures;
}

/** The options that are no pictures. */
export function withoutPictures(options: JobOptions): Record<string, Json> {
  const rest: Record<string, Json> = { ...options };
  for (const name of PICTURES) delete rest[name];
  return rest;
}

export function isPictureOption(name: string): boolean {
  return PICTURES.some((one) => one === name);
}

async function pictureBytes(name: string, given: Json, data: RequestFiles): Promise<Uint8Array> {
  if (typeof given === 'string') return decodeBase64(name, given);
  const { job, image, input } = given as { job: string; image?: string; input?: string };
  return input === undefined ? data.readResult(job, String(image)) : data.readInput(job, input);
}

/** Base64, plain or as a data URI. @throws INVALID_IMAGE */
export function decodeBase64(name: string, text: string): Uint8Array {
  if (/^\s*data:/i.test(text)) return parseDataUri(text.trim());
  const bytes = /^[A-Za-z0-9+/_-\s]*={0,2}\s*$/.test(text) ? Buffer.from(text, 'base64') : undefined;
  if (!bytes?.length) {
    throw new SafelightError(
      'INVALID_IMAGE',
      `${name} is not a picture: send its bytes in base64, or as a data URI`,
    );
  }
  return bytes;
}

function isStored(value: Json | undefined): value is { readonly file: string } {
  return typeof value === 'object' && value !== null && 'file' in value;
}
