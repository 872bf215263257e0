/** Pictures in and out of A1111's requests, and what they say of themselves. */
import sharp, { type Metadata } from 'sharp';
import { SafelightError } from '../../errors.js';
import { maskOf } from '../../image/composite.js';
import { userComment } from '../../image/exif.js';
import { parseParameters } from '../../image/parameters.js';
import { readPngText } from '../../image/png.js';
import { readImage } from '../../image/read.js';
import type { ByteImage } from '../../image/resample.js';
import { decodeBase64 } from '../../jobs/images.js';

const MAX_PIXELS = 2 ** 26;

/** The base64 of a picture as clients send it: plain, or a data URI in any case, with white space around it. */
export function base64Of(text: string): string {
  return text.trim().replace(/^data:[^,]*,/i, '');
}

/** The bytes of a picture. @throws INVALID_IMAGE naming the field */
export function bytesOf(field: string, text: string): Uint8Array {
  return decodeBase64(field, base64Of(text));
}

/** @throws INVALID_IMAGE naming the field */
export function renderDecoded(field: string, text: string): Promise<ByteImage> {
  return naming(field, () => readImage(bytesOf(field, text), { maxPixels: MAX_PIXELS }));
}

/** Whether a mask leaves nothing to repaint. @throws INVALID_IMAGE */
export async function isBlank(mask: string, inverted: boolean, rounded: boolean): Promise<boolean> {
  const read = await naming('mask', () =>
    readImage(bytesOf('mask', mask), { alpha: 'keep', maxPixels: MAX_PIXELS }),
  );
  const kept = inverted ? 255 : 0;
  return maskOf(read, !rounded).data.every((value) => value === kept);
}

/** Errors of pictures say which field they were in. */
export async function naming<T>(field: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof SafelightError) || error.code !== 'INVALID_IMAGE') throw error;
    const [, rest] = /^\S+ (is not an? (?:picture|image).*)$/s.exec(error.message) ?? [];
    const message = `${field} ${rest ?? `is not an image that can be read: ${error.message}`}`;
    throw new SafelightError('INVALID_IMAGE', message, { cause: error });
  }
}

/** Texts that a file carries: PNG's chunks, or what others write as EXIF. @throws INVALID_IMAGE */
export async function textsOf(field: string, bytes: Uint8Array): Promise<Record<string, string>> {
  const { format, exif } = await headerOf(field, bytes);
  if (format === 'png') return readPngText(bytes);
  const comment = exif && userComment(exif);
  return comment ? { parameters: comment } : {};
}

/** sharp refuses some bytes at once, others when it reads them. */
async function headerOf(field: string, bytes: Uint8Array): Promise<Metadata> {
  try {
    return await sharp(bytes, { limitInputPixels: MAX_PIXELS }).metadata();
  } catch (error) {
    const message = `Invalid encoded image: ${field} must be a picture in base64`;
    throw new SafelightError('INVALID_IMAGE', message, { cause: error });
  }
}

/** What A1111 takes for given where a text does not say it. */
const UNSAID = {
  'Clip skip': '1',
  'Hires resize-1': 0,
  'Hires resize-2': 0,
  'Hires sampler': 'Use same sampler',
  'Hires schedule type': 'Use same scheduler',
  'Hires checkpoint': 'Use same checkpoint',
  'Hires prompt': '',
  'Hires negative prompt': '',
  'Mask mode': 'Inpaint masked',
  'Masked content': 'original',
  'Inpaint area': 'Whole picture',
  'Masked area padding': 32,
  RNG: 'GPU',
  'Schedule type': 'Automatic',
  'Schedule max sigma': 0,
  'Schedule min sigma': 0,
  'Schedule rho': 0,
  'VAE Encoder': 'Full',
  'VAE Decoder': 'Full',
  'FP8 weight': 'Disable',
  Emphasis: 'Original',
};

/** A text's fields as A1111 gives them: sizes in two parts. */
export function parameterFields(text: string): Record<string, string | number> {
  const { prompt, negative, fields } = parseParameters(text);
  const parts = Object.entries(fields).flatMap(([name, value]): [string, string][] => {
    const [, width, height] = /^(\d+)x(\d+)$/.exec(value) ?? [];
    return width && height
      ? [
          [`${name}-1`, width],
          [`${name}-2`, height],
        ]
      : [[name, value]];
  });
  return { Prompt: prompt, 'Negative prompt': negative, ...UNSAID, ...Object.fromEntries(parts) };
}
