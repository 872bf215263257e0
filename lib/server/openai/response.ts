/** Responses in OpenAI's format: images in the requested file format, token usage and errors. */
import { readFile } from 'node:fs/promises';
import { loadSharp } from '../../image/sharp.js';
import type { Job, JobQueue } from '../../jobs/types.js';
import { Tokenizer } from '../../tokenizers/tokenizer.js';
import { fileUrl } from '../api/jobs.js';
import type { HttpFailure } from '../errors.js';
import type { OutputSettings } from './request.js';

/**
 * Side length in pixels of the image area that counts as one token, a convention for lack of a better unit for
 * latent models.
 */
const PATCH = 16;

export interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly total_tokens: number;
  readonly input_tokens_details: { readonly text_tokens: number; readonly image_tokens: number };
}

/** Encodes an image in the requested format as base64. */
export async function encodeImage(
  image: Uint8Array,
  { format, compression }: OutputSettings,
): Promise<string> {
  if (format === 'png') return Buffer.from(image).toString('base64');
  const quality = Math.max(1, compression);
  const sharp = await loadSharp();
  return (await sharp(image).toFormat(format, { quality }).toBuffer()).toString('base64');
}

/** Returns the images of a job as the `data` field of a response. @param server URL of the server, for `asUrl` */
export async function imageData(
  job: Job,
  queue: JobQueue,
  output: OutputSettings,
  server: string,
): Promise<{ b64_json?: string; url?: string }[]> {
  return Promise.all(
    job.images.map(async ({ name }) => {
      if (output.asUrl) return { url: server + fileUrl(job.id, name) };
      const file = await queue.file(job.id, name);
      return { b64_json: await encodeImage(await readFile(file?.path ?? ''), output) };
    }),
  );
}

/** Returns the response fields that describe all images. */
export function imageProperties(job: Job, { format }: OutputSettings, quality: string | null | undefined) {
  const [first] = job.images;
  return {
    background: 'opaque',
    output_format: format,
    quality: quality ?? 'auto',
    size: first ? `${first.width}x${first.height}` : 'auto',
  };
}

let tokenizer: Promise<Tokenizer> | undefined;

/** Computes the token usage. @param inputs images of the request */
export async function usage(job: Job, prompt: string, inputs: readonly Uint8Array[]): Promise<Usage> {
  tokenizer ??= Promise.resolve(Tokenizer.standard());
  const text_tokens = (await tokenizer).encode(prompt).length;
  const sharp = await loadSharp();
  const sizes = await Promise.all(inputs.map(async (input) => sharp(input).metadata()));
  const image_tokens = sizes.reduce((sum, size) => sum + patches(size), 0);
  const output_tokens = job.images.reduce((sum, size) => sum + patches(size), 0);
  const input_tokens = text_tokens + image_tokens;
  return {
    ...{ input_tokens, output_tokens, total_tokens: input_tokens + output_tokens },
    input_tokens_details: { text_tokens, image_tokens },
  };
}

export function openAiError({ status, code, message }: HttpFailure) {
  const type = status === 429 ? 'requests' : status >= 500 ? 'server_error' : 'invalid_request_error';
  if (code === 'MODEL_NOT_FOUND')
    return { error: { message, type: 'invalid_request_error', param: 'model', code: 'model_not_found' } };
  const errorCode = { 401: 'invalid_api_key', 404: 'not_found', 429: 'rate_limit_exceeded' }[status];
  const param = /(?:for|Invalid options:|Invalid request:) ([a-z_A-Z]+)/.exec(message)?.[1] ?? null;
  return {
    error: { message, type, param: status === 400 ? param : null, code: errorCode ?? code.toLowerCase() },
  };
}

function patches({
  width = 0,
  height = 0,
}: {
  width?: number | undefined;
  height?: number | undefined;
}): number {
  return Math.ceil(width / PATCH) * Math.ceil(height / PATCH);
}
