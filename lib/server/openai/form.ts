/** Parses the multipart form of an image edit: images, mask and text fields. */
import type { MultipartFile, MultipartValue } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { invalidOption, SafelightError } from '../../errors.js';
import { decodeBase64 } from '../../jobs/images.js';

export interface EditForm {
  readonly fields: Readonly<Record<string, string>>;
  readonly image: readonly Uint8Array[];
  readonly mask: Uint8Array | undefined;
}

/** Clients write lists as `image`, `image[]` or `image[0]`. */
const FILE = /^(image|mask)(?:\[\d*\])?$/;

/**
 * Parses the form.
 * @throws INVALID_OPTION for an unknown file field, a second mask, or an image given by URL or file id;
 *   INVALID_IMAGE
 */
export async function editForm(request: FastifyRequest): Promise<EditForm> {
  if (!request.isMultipart())
    throw new SafelightError(
      'INVALID_OPTION',
      'Expected a multipart/form-data request with the image as a file in the field "image"',
    );
  const fields: Record<string, string> = {};
  const files: Record<'image' | 'mask', Uint8Array[]> = { image: [], mask: [] };
  // A rejected form is still read to its end, because clients send the whole form before they read a response.
  let rejection: Error | undefined;
  let remaining = request.routeOptions.bodyLimit;
  for await (const part of parts(request)) {
    const name = FILE.exec(part.fieldname)?.[1] as 'image' | 'mask' | undefined;
    if (rejection || (part.type === 'file' && !name)) {
      rejection ??= unknownFile(part.fieldname);
      if (part.type === 'file') part.file.resume();
      continue;
    }
    const value = part.type === 'file' ? await bytesOf(part) : String(part.value);
    remaining -= value.length;
    if (remaining < 0) rejection = tooLarge(request.routeOptions.bodyLimit);
    else if (!name) fields[part.fieldname] = String(value);
    else if (typeof value !== 'string') files[name].push(value);
    else {
      try {
        files[name].push(decodeText(name, value));
      } catch (error) {
        rejection = error as Error;
      }
    }
  }
  if (rejection) throw rejection;
  if (files.mask.length > 1) throw invalidOption('mask', 'one mask', `${files.mask.length} masks`);
  return { fields, image: files.image, mask: files.mask[0] };
}

/** Yields the parts of the form. @throws INVALID_OPTION for a form without a boundary */
async function* parts(request: FastifyRequest): AsyncGenerator<MultipartFile | MultipartValue, void> {
  try {
    yield* request.parts() as AsyncIterable<MultipartFile | MultipartValue>;
  } catch (error) {
    throw formError(error);
  }
}

/** Converts the plain errors that the parser throws for truncated or malformed forms. */
function formError(error: unknown): unknown {
  if (!(error instanceof Error) || 'statusCode' in error || error instanceof SafelightError) return error;
  return new SafelightError('INVALID_OPTION', `The multipart form cannot be read: ${error.message}`, {
    cause: error,
  });
}

function unknownFile(field: string): SafelightError {
  return new SafelightError(
    'INVALID_OPTION',
    `Unknown file field ${JSON.stringify(field.slice(0, 100))} in the form; the file fields are image and mask`,
  );
}

/** Returns an error whose status is read by `toHttpFailure`. */
function tooLarge(limit: number): Error {
  const message = `The form exceeds the limit of ${limit} bytes (max-body in the configuration)`;
  return Object.assign(new Error(message), { statusCode: 413, code: 'FST_ERR_CTP_BODY_TOO_LARGE' });
}

async function bytesOf(part: MultipartFile): Promise<Buffer> {
  try {
    return await part.toBuffer();
  } catch (error) {
    throw formError(error);
  }
}

/** Decodes an image sent as text: base64 or a data URI. */
function decodeText(name: string, text: string): Uint8Array {
  if (/^data:|^[A-Za-z0-9+/_-]{64,}/.test(text)) return decodeBase64(name, text);
  throw invalidOption(
    name,
    'a file with a file name, or a data URI (URLs and file ids are not supported)',
    text,
  );
}
