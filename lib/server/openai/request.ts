/** Fields of OpenAI's image requests and their conversion to jobs. */

import { z } from 'zod';
import { defined } from '../../defined.js';
import { invalidOption } from '../../errors.js';
import { maskOfTransparency, requiredMask } from '../../image/alpha-mask.js';
import type { Json } from '../../jobs/json.js';
import type { JobRequest } from '../../jobs/types.js';

/** Integer field; multipart forms contain numbers as text. */
const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);

const common = {
  prompt: z.string().max(32_000),
  model: z
    .string()
    .max(200)
    .nullish()
    .describe("configured model name; OpenAI's model names select the default model"),
  n: integer(1, 10).nullish(),
  size: z.string().max(20).nullish().describe('WIDTHxHEIGHT or auto'),
  quality: z
    .string()
    .max(20)
    .nullish()
    .describe('low (10 steps), high (30 steps), medium or auto (the default of the model)'),
  background: z.enum(['auto', 'opaque', 'transparent']).nullish(),
  output_format: z.enum(['png', 'webp', 'jpeg']).nullish(),
  output_compression: integer(0, 100).nullish(),
  partial_images: integer(0, 3).nullish(),
  stream: flag.nullish(),
  response_format: z.enum(['b64_json', 'url']).nullish(),
  user: z.string().max(1000).nullish(),
};

/** Fields of edits, which are rejected here instead of being ignored silently. */
const editOnly = z.null('belongs to a request to /v1/images/edits').optional();

/** Unknown fields are ignored, because new versions of OpenAI's clients add fields. */
export const generationBody = z.object({
  ...common,
  moderation: z.string().max(20).nullish(),
  style: z.string().max(20).nullish(),
  ...{ image: editOnly, images: editOnly, mask: editOnly },
});
export const editFields = z.object({ ...common, input_fidelity: z.enum(['low', 'high']).nullish() });

export type ImageRequest = Omit<z.output<typeof generationBody>, 'image' | 'images' | 'mask'> & {
  input_fidelity?: 'low' | 'high' | null | undefined;
};

/** Response settings of a request. */
export interface OutputSettings {
  readonly format: 'png' | 'webp' | 'jpeg';
  /** Quality of WebP and JPEG, 0 to 100. */
  readonly compression: number;
  readonly stream: boolean;
  readonly partialImages: number;
  readonly asUrl: boolean;
}

export function outputOf(body: ImageRequest): OutputSettings {
  if (body.background === 'transparent')
    throw invalidOption(
      'background',
      'auto or opaque (generated images have no transparency)',
      body.background,
    );
  return {
    format: body.output_format ?? 'png',
    compression: body.output_compression ?? 100,
    stream: body.stream ?? false,
    partialImages: body.partial_images ?? 0,
    asUrl: body.response_format === 'url',
  };
}

/**
 * Converts a request to a text-to-image job.
 * @param model configured name; undefined for the default
 * @throws INVALID_OPTION
 */
export function generationJob(body: ImageRequest, model: string | undefined): JobRequest {
  return {
    ...{ type: 'text-to-image', client: 'openai' },
    ...defined({ model }),
    previews: body.partial_images ? { count: body.partial_images } : { every: 0 },
    options: { prompt: body.prompt, count: body.n ?? 1, ...sizeOf(body.size), ...stepsOf(body.quality) },
  };
}

/**
 * Converts an edit to an inpainting job that regenerates the transparent areas of the mask (or else of the image),
 * or to an image-to-image job if nothing is transparent.
 * @throws INVALID_IMAGE, INVALID_OPTION
 */
export async function editJob(
  body: ImageRequest,
  files: { readonly image: readonly Uint8Array[]; readonly mask: Uint8Array | undefined },
  model: string | undefined,
): Promise<JobRequest> {
  const [image] = files.image;
  if (!image || files.image.length > 1) throw invalidOption('image', 'one image', files.image.length);
  const base = generationJob(body, model);
  const mask = await (files.mask ? requiredMask(files.mask) : maskOfTransparency(image));
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

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
