/** OpenAI's image requests: their fields, and the jobs that they mean. */

import { z } from 'zod';
import { defined } from '../../defined.js';
import { invalidOption } from '../../errors.js';
import { maskOfTransparency, requiredMask } from '../../image/alpha-mask.js';
import type { Json } from '../../jobs/json.js';
import type { JobRequest } from '../../jobs/types.js';

/** Number fields of a multipart form come as text. */
const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);

const common = {
  prompt: z.string().max(32_000),
  model: z
    .string()
    .max(200)
    .nullish()
    .describe("A configured name; OpenAI's own names mean the default model"),
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

/** What an edit has, and would be left out here without a word. */
const ofEdits = z.null('belongs to a request to /v1/images/edits').optional();

/** Fields that are not listed are ignored, as OpenAI's clients keep getting new ones. */
export const generationBody = z.object({
  ...common,
  moderation: z.string().max(20).nullish(),
  style: z.string().max(20).nullish(),
  ...{ image: ofEdits, images: ofEdits, mask: ofEdits },
});
export const editFields = z.object({ ...common, input_fidelity: z.enum(['low', 'high']).nullish() });

export type ImageRequest = Omit<z.output<typeof generationBody>, 'image' | 'images' | 'mask'> & {
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

/** @param model a configured name; undefined for the default. @throws INVALID_OPTION */
export function generationJob(body: ImageRequest, model: string | undefined): JobRequest {
  return {
    ...{ type: 'text-to-image', client: 'openai' },
    ...defined({ model }),
    previews: body.partial_images ? { count: body.partial_images } : { every: 0 },
    options: { prompt: body.prompt, count: body.n ?? 1, ...sizeOf(body.size), ...stepsOf(body.quality) },
  };
}

/**
 * An image to work on: what its mask (or else the image itself) leaves transparent is drawn anew; without transparency the whole.
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
