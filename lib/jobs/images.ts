/**
 * Images in job requests. They are stored as files when a job is submitted, so that the job record stays
 * small.
 */
import { invalidOption, SafelightError } from '../errors.js';
import { parseDataUri } from '../image/data-uri.js';
import { readImage } from '../image/read.js';
import { maxUpscaledPixels, type UpscaleJobOptions } from '../options/declarations/upscale.js';
import { targetOf } from '../pipelines/upscale/target.js';
import type { Json } from './json.js';
import type { JobFiles, RequestFiles } from './store/data-folder.js';
import type { Job, JobOptions } from './types.js';

/** Names of the options that contain images; `regions` contains several. */
export const IMAGE_OPTIONS = ['init', 'mask', 'image'] as const;

/** Images of a job's options, as a pipeline takes them. */
export type InputImages = { [K in (typeof IMAGE_OPTIONS)[number]]?: Uint8Array } & {
  regions?: { readonly mask: Uint8Array; readonly prompt: string }[];
};

interface RegionJson {
  readonly mask: Json;
  readonly prompt: string;
}

function regionsOf({ regions }: JobOptions): readonly RegionJson[] {
  return (regions ?? []) as unknown as readonly RegionJson[];
}

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
    if (type === 'upscale') checkUpscaled(size, options, maxUpscaledPixels({ maxPixels }));
    await data.writeInput(id, name, bytes);
    stored[name] = { file: name };
  }
  const regions: RegionJson[] = [];
  for (const [i, { mask, prompt }] of regionsOf(options).entries()) {
    const file = `region-${i}`;
    const bytes = await imageBytes(`regions[${i}].mask`, mask, data);
    await readImage(bytes, { maxPixels: maxInputPixels });
    await data.writeInput(id, file, bytes);
    regions.push({ mask: { file }, prompt });
  }
  if (regions.length > 0) stored.regions = regions as unknown as Json;
  if (options.cells !== undefined) stored.cells = await storeCells(id, options.cells, data);
  return stored;
}

/** Stores the finished cells that a grid job takes over from an earlier one. @throws FILE_NOT_FOUND, FILE_NOT_WRITTEN */
async function storeCells(id: string, cells: Json, data: RequestFiles): Promise<Json> {
  const stored: Json[] = [];
  for (const { cell, image } of cells as unknown as readonly {
    readonly cell: number;
    readonly image: Json;
  }[]) {
    const file = `cell-${cell}`;
    await data.writeInput(id, file, await imageBytes(`cells[${cell}]`, image, data));
    stored.push({ cell, file });
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

function checkUpscaled(
  image: { readonly width: number; readonly height: number },
  options: JobOptions,
  maxPixels: number,
): void {
  const { width, height, crop } = targetOf(image, options as UpscaleJobOptions);
  const pixels = Math.max(width * height, (crop?.width ?? 0) * (crop?.height ?? 0));
  if (pixels <= maxPixels) return;
  throw invalidOption(
    options.size === undefined ? 'scale' : 'size',
    `a result of at most ${maxPixels} pixels, the limit of this server`,
    `${width} x ${height}`,
  );
}

/** Reads the stored images of a submitted job. @throws FILE_NOT_FOUND */
export async function readImages(id: string, options: JobOptions, data: JobFiles): Promise<InputImages> {
  const images: InputImages = {};
  for (const name of IMAGE_OPTIONS) {
    const value = options[name];
    if (isStored(value)) images[name] = await data.readInput(id, value.file);
  }
  const regions: NonNullable<InputImages['regions']> = [];
  for (const { mask, prompt } of regionsOf(options))
    if (isStored(mask)) regions.push({ mask: await data.readInput(id, mask.file), prompt });
  return regions.length > 0 ? { ...images, regions } : images;
}

/** Returns the options without those that contain images. */
export function withoutImages(options: JobOptions): Record<string, Json> {
  const rest: Record<string, Json> = { ...options };
  for (const name of [...IMAGE_OPTIONS, 'regions']) delete rest[name];
  return rest;
}

/** Returns the options that contain images, with references to the images of this job. */
export function imageReferences(job: Pick<Job, 'id' | 'options'>): JobOptions {
  const references: Record<string, Json> = {};
  for (const name of IMAGE_OPTIONS)
    if (job.options[name] !== undefined) references[name] = { job: job.id, input: name };
  const regions = regionsOf(job.options).map(({ prompt }, i) => ({
    mask: { job: job.id, input: `region-${i}` },
    prompt,
  }));
  return regions.length > 0 ? { ...references, regions } : references;
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
