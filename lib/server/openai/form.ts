/** The multipart form of an edit: its images, its mask, and its other fields as text. */
import type { MultipartFile, MultipartValue } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { invalidOption, SafelightError } from '../../errors.js';
import { decodeBase64 } from '../../jobs/images.js';

export interface EditForm {
  readonly fields: Readonly<Record<string, string>>;
  readonly image: readonly Uint8Array[];
  readonly mask: Uint8Array | undefined;
}

/** `image`, `image[]` and `image[0]` are how clients write a list. */
const FILE = /^(image|mask)(?:\[\d*\])?$/;

/** @throws INVALID_OPTION for a file of another field, a second mask, or an image that is only named; INVALID_IMAGE */
export async function editForm(request: FastifyRequest): Promise<EditForm> {
  if (!request.isMultipart())
    throw new SafelightError(
      'INVALID_OPTION',
      'Send the request as multipart/form-data, with the image as a file of the field "image"',
    );
  const fields: Record<string, string> = {};
  const files: Record<'image' | 'mask', Uint8Array[]> = { image: [], mask: [] };
  // What is refused is read to its end all the same: clients send the whole form before they look at an answer.
  let refused: Error | undefined;
  let left = request.routeOptions.bodyLimit;
  for await (const part of parts(request)) {
    const name = FILE.exec(part.fieldname)?.[1] as 'image' | 'mask' | undefined;
    if (refused || (part.type === 'file' && !name)) {
      refused ??= unknownFile(part.fieldname);
      if (part.type === 'file') part.file.resume();
      continue;
    }
    const value = part.type === 'file' ? await bytesOf(part) : String(part.value);
    left -= value.length;
    if (left < 0) refused = tooLarge(request.routeOptions.bodyLimit);
    else if (!name) fields[part.fieldname] = String(value);
    else if (typeof value !== 'string') files[name].push(value);
    else {
      try {
        files[name].push(ofText(name, value));
      } catch (error) {
        refused = error as Error;
      }
    }
  }
  if (refused) throw refused;
  if (files.mask.length > 1) throw invalidOption('mask', 'one mask', `${files.mask.length} masks`);
  return { fields, image: files.image, mask: files.mask[0] };
}

/** @throws INVALID_OPTION for a form without a boundary */
async function* parts(request: FastifyRequest): AsyncGenerator<MultipartFile | MultipartValue, void> {
  try {
    yield* request.parts() as AsyncIterable<MultipartFile | MultipartValue>;
  } catch (error) {
    throw formError(error);
  }
}

/** What the parser throws for a form that is cut off or none is a plain error. */
function formError(error: unknown): unknown {
  if (!(error instanceof Error) || 'statusCode' in error || error instanceof SafelightError) return error;
  return new SafelightError('INVALID_OPTION', `The multipart form cannot be read: ${error.message}`, {
    cause: error,
  });
}

function unknownFile(field: string): SafelightError {
  return new SafelightError(
    'INVALID_OPTION',
    `The form has a file ${JSON.stringify(field.slice(0, 100))}, which is not known; files are image and mask`,
  );
}

/** An error that `httpFailure` gives this status. */
function tooLarge(limit: number): Error {
  const message = `The form is larger than the ${limit} bytes that this server takes (--config: max-body)`;
  return Object.assign(new Error(message), { statusCode: 413, code: 'FST_ERR_CTP_BODY_TOO_LARGE' });
}

async function bytesOf(part: MultipartFile): Promise<Buffer> {
  try {
    return await part.toBuffer();
  } catch (error) {
    throw formError(error);
  }
}

/** An image as text: base64 or a data URI, as other image APIs take it. */
function ofText(name: string, text: string): Uint8Array {
  if (/^data:|^[A-Za-z0-9+/_-]{64,}/.test(text)) return decodeBase64(name, text);
  throw invalidOption(
    name,
    'a file with a file name, or a data URI (no address is fetched, and there are no uploaded files to name)',
    text,
  );
}
