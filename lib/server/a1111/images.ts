/** Images in A1111's requests and responses, and their generation parameters. */
import { SafelightError } from '../../errors.js';
import { maskOf } from '../../image/composite.js';
import { parseParameters } from '../../image/parameters.js';
import { readImage } from '../../image/read.js';
import type { ByteImage } from '../../image/resample.js';
import { decodeBase64 } from '../../jobs/images.js';

const MAX_PIXELS = 2 ** 26;

/** Returns the base64 text of an image that clients send as plain base64 or as a data URI. */
export function base64Of(text: string): string {
  return text.trim().replace(/^data:[^,]*,/i, '');
}

/** Decodes the bytes of an image. @throws INVALID_IMAGE with the name of the field */
export function bytesOf(field: string, text: string): Uint8Array {
  return decodeBase64(field, base64Of(text));
}

/** Decodes an image to pixels. @throws INVALID_IMAGE with the name of the field */
export function decodeImage(field: string, text: string): Promise<ByteImage> {
  return withFieldName(field, () => readImage(bytesOf(field, text), { maxPixels: MAX_PIXELS }));
}

/** Returns true if a mask selects nothing to inpaint. @throws INVALID_IMAGE */
export async function isBlank(mask: string, inverted: boolean, rounded: boolean): Promise<boolean> {
  const read = await withFieldName('mask', () =>
    readImage(bytesOf('mask', mask), { alpha: 'keep', maxPixels: MAX_PIXELS }),
  );
  const unselected = inverted ? 255 : 0;
  return maskOf(read, !rounded).data.every((value) => value === unselected);
}

/** Adds the name of the field to INVALID_IMAGE errors of `read`. */
export async function withFieldName<T>(field: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof SafelightError) || error.code !== 'INVALID_IMAGE') throw error;
    const [, rest] = /^\S+ (is not an? image.*)$/s.exec(error.message) ?? [];
    const message = `${field} ${rest ?? `is not an image that can be read: ${error.message}`}`;
    throw new SafelightError('INVALID_IMAGE', message, { cause: error });
  }
}

/** A1111's defaults for fields that are missing in generation parameters. */
const PARAMETER_DEFAULTS = {
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

/** Returns the fields of a generation parameters text in A1111's format, with sizes split in two. */
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
  return { Prompt: prompt, 'Negative prompt': negative, ...PARAMETER_DEFAULTS, ...Object.fromEntries(parts) };
}
