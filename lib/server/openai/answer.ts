/** What OpenAI's clients are answered: pictures in the format they asked for, a count of tokens, errors in their form. */
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import type { Job, JobQueue } from '../../jobs/types.js';
import { Tokenizer } from '../../tokenizers/tokenizer.js';
import { fileUrl } from '../api/jobs.js';
import type { HttpFailure } from '../errors.js';
import type { OutputSettings } from './request.js';

/** Pixels a side of the square that counts as one token of a picture: there is no better unit for a latent model. */
const PATCH = 16;

export interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly total_tokens: number;
  readonly input_tokens_details: { readonly text_tokens: number; readonly image_tokens: number };
}

/** Bytes of a picture in base64. */
export async function encoded(picture: Uint8Array, { format, compression }: OutputSettings): Promise<string> {
  if (format === 'png') return Buffer.from(picture).toString('base64');
  const quality = Math.max(1, compression);
  return (await sharp(picture).toFormat(format, { quality }).toBuffer()).toString('base64');
}

/** The pictures of a job, as `data` of an answer. */
export async function pictures(
  job: Job,
  queue: JobQueue,
  output: OutputSettings,
  origin: string,
): Promise<{ b64_json?: string; url?: string }[]> {
  return Promise.all(
    job.images.map(async ({ name }) => {
      if (output.asUrl) return { url: origin + fileUrl(job.id, name) };
      const file = await queue.file(job.id, name);
      return { b64_json: await encoded(await readFile(file?.path ?? ''), output) };
    }),
  );
}

/** What describes all pictures of an answer. */
export function described(job: Job, { format }: OutputSettings, quality: string | null | undefined) {
  const [first] = job.images;
  return {
    background: 'opaque',
    output_format: format,
    quality: quality ?? 'auto',
    size: first ? `${first.width}x${first.height}` : 'auto',
  };
}

let tokenizer: Promise<Tokenizer> | undefined;

/** @param given pictures that came with the request */
export async function usage(job: Job, prompt: string, given: readonly Uint8Array[]): Promise<Usage> {
  tokenizer ??= Promise.resolve(Tokenizer.standard());
  const text_tokens = (await tokenizer).encode(prompt).length;
  const sizes = await Promise.all(given.map(async (picture) => sharp(picture).metadata()));
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
  const known = { 401: 'invalid_api_key', 404: 'not_found', 429: 'rate_limit_exceeded' }[status];
  const param =
    /(?:value for|for|options are not right:|request is not right:) ([a-z_A-Z]+)/.exec(message)?.[1] ?? null;
  return {
    error: { message, type, param: status === 400 ? param : null, code: known ?? code.toLowerCase() },
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
