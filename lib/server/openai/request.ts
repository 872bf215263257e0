/** OpenAI's image requests: their fields, and the jobs that they mean. */
import { z } from 'zod';
import { invalidOption, SafelightError } from '../../errors.js';
import { encodePng } from '../../image/png.js';
import { readImage } from '../../image/read.js';
import type { Json } from '../../jobs/json.js';
import type { JobRequest } from '../../jobs/types.js';

/** Number fields of a multipart form come as text. */
const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);

const common = {
  prompt: z.string().max(32_000),
  model: z.string().max(200).nullish().describe('A configured name; any other means the first model'),
  n: integer(1, 10).nullish(),
  size: z.string().max(20).nullish().describe('WIDTHxHEIGHT or auto'),
  quality: z.string().max(20).nullish().describe('low, medium, high or auto: fewer or more steps'),
  background: z.enum(['auto', 'opaque', 'transparent']).nullish(),
  output_format: z.enum(['png', 'webp', 'jpeg']).nullish(),
  output_compression: integer(0, 100).nullish(),
  partial_images: integer(0, 3).nullish(),
  stream: flag.nullish(),
  response_format: z.enum(['b64_json', 'url']).nullish(),
  user: z.string().max(1000).nullish(),
};

/** Fields that are not listed are ignored, as OpenAI's clients keep getting new ones. */
export const generationBody = z.object({
  ...common,
  moderation: z.string().max(20).nullish(),
  style: z.string().max(20).nullish(),
});
export const editFields = z.object({ ...common, input_fidelity: z.enum(['low', 'high']).nullish() });

export type ImageRequest = z.output<typeof generationBody> & {
  input_fidelity?: 'low' | 'high' | null | undefined;
};

/** What is to be answered with. */
export interface OutputSettings {
  readonly format: 'png' | 'webp' | 'jpeg';
  /** 0 to 100. */
  readonly compression: number;
  readonly stream: boolean;
  readonly partialImages: number;
  readonly asUrl: boolean;
}

export function outputOf(body: ImageRequest): OutputSettings {
  if (body.background === 'transparent')
    throw invalidOption('background', 'auto or opaque (pictures have no transparency)', body.background);
  return {
    format: body.output_format ?? 'png',
    compression: body.output_compression ?? 100,
    stream: body.stream ?? false,
    partialImages: body.partial_images ?? 0,
    asUrl: body.response_format === 'url',
  };
}

/** @param models configured names. @throws INVALID_OPTION */
export function generationJob(body: ImageRequest, models: readonly string[]): JobRequest {
  return {
    ...{ type: 'text-to-image', client: 'openai' },
    ...(body.model && models.includes(body.model) ? { model: body.model } : {}),
    previews: { every: body.partial_images ? 1 : 0 },
    options: { prompt: body.prompt, count: body.n ?? 1, ...sizeOf(body.size), ...stepsOf(body.quality) },
  };
}

/**
 * A picture to work on: what its mask (or else the picture itself) leaves transparent is drawn anew; without transparency the whole.
 * @throws INVALID_IMAGE, INVALID_OPTION
 */
export async function editJob(
  body: ImageRequest,
  files: { readonly image: readonly Uint8Array[]; readonly mask: Uint8Array | undefined },
  models: readonly string[],
  maxPixels: number,
): Promise<JobRequest> {
  const [image] = files.image;
  if (!image || files.image.length > 1) throw invalidOption('image', 'one picture', files.image.length);
  const base = generationJob(body, models);
  const mask = await transparent(files.mask ?? image, maxPixels);
  if (!mask && files.mask)
    throw new SafelightError(
      'INVALID_IMAGE',
      'The mask has no transparent part, so nothing would be drawn: make the part to edit transparent',
    );
  const options: Record<string, Json> = { ...base.options, init: base64(image) };
  if (mask) return { ...base, type: 'inpaint', options: { ...options, mask: base64(mask), strength: 1 } };
  return {
    ...base,
    type: 'image-to-image',
    options: { ...options, strength: body.input_fidelity === 'high' ? 0.5 : 0.75 },
  };
}

function sizeOf(size: string | null | undefined): { width?: number; height?: number } {
  if (!size || size === 'auto') return {};
  const [, width, height] = /^(\d{2,5})x(\d{2,5})$/.exec(size) ?? [];
  if (!width || !height) throw invalidOption('size', 'WIDTHxHEIGHT or auto', size);
  return { width: Number(width), height: Number(height) };
}

function stepsOf(quality: string | null | undefined): { steps?: number } {
  const steps = { low: 10, high: 30, hd: 30 }[quality ?? ''];
  return steps === undefined ? {} : { steps };
}

/** White where a picture is transparent, as a PNG; undefined where it is not. */
async function transparent(source: Uint8Array, maxPixels: number): Promise<Uint8Array | undefined> {
  const { data, width, height } = await readImage(source, { alpha: 'keep', maxPixels });
  const mask = new Uint8Array(width * height * 3);
  let any = false;
  for (let i = 0; i < width * height; i++) {
    if (data[i * 4 + 3]! > 127) continue;
    any = true;
    mask.fill(255, i * 3, i * 3 + 3);
  }
  return any ? encodePng({ data: mask, width, height }) : undefined;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
