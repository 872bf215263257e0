/** Images in the arguments of tools: base64, data URIs, URIs of results, and files of a client on this machine. */
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SafelightError } from '../errors.js';
import { kindOf, openRegular, readFully } from '../files/read.js';
import { IMAGE_OPTIONS } from '../jobs/images.js';
import { imageOfUri, isSafelightUri } from './image-uri.js';
import type { Arguments } from './tool.js';

/** Longest path; a longer string can only be base64. */
const MAX_PATH = 4096;
/** Maximum size of an image file in bytes. */
const MAX_FILE = 64 * 2 ** 20;

/** Description of an image argument in the schema that clients see. */
export function describeImage(kind: string, local: boolean): string {
  const file = local ? ', an absolute path or file: URI,' : '';
  return `${kind}: base64 or a data URI${file} or the safelight:// URI of an earlier result`;
}

/**
 * Replaces the images among the arguments by what jobs accept: URIs of results by references, files by their content in
 * base64. Everything else is returned unchanged, for the queue to validate.
 * @param local false if paths of files are rejected
 * @throws INVALID_OPTION, FILE_NOT_FOUND, INVALID_IMAGE
 */
export async function resolveImages(args: Arguments, local: boolean): Promise<Record<string, unknown>> {
  const resolved: Record<string, unknown> = { ...args };
  for (const name of IMAGE_OPTIONS)
    if (resolved[name] !== undefined) resolved[name] = await resolveImage(name, resolved[name], local);
  if (Array.isArray(resolved.regions))
    resolved.regions = await Promise.all(
      resolved.regions.map(async (region: unknown, i) =>
        isRecord(region)
          ? { ...region, mask: await resolveImage(`regions[${i}].mask`, region.mask, local) }
          : region,
      ),
    );
  return resolved;
}

async function resolveImage(name: string, value: unknown, local: boolean): Promise<unknown> {
  if (typeof value !== 'string') return value;
  if (isSafelightUri(value)) return imageOfUri(name, value);
  const path = await pathIn(name, value, local);
  if (path === undefined) return value;
  if (local) return readBase64(name, path);
  throw new SafelightError(
    'INVALID_OPTION',
    `Expected ${name} to be base64, a data URI or a safelight:// URI, received the path of a file; only \`safelight mcp\` reads files`,
  );
}

/**
 * Returns the path that a string contains; undefined for base64, which may begin with a slash (JPEG files begin with
 * `/9j/`). Only for a local client does this depend on the existence of files.
 */
async function pathIn(name: string, text: string, local: boolean): Promise<string | undefined> {
  if (/^file:/i.test(text)) {
    try {
      return fileURLToPath(text);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new SafelightError('INVALID_OPTION', `The file: URI of ${name} is invalid: ${reason}`, {
        cause: error,
      });
    }
  }
  if (text.length > MAX_PATH || !isAbsolute(text)) return undefined;
  const isBase64 = /^[A-Za-z0-9+/=\s]*$/.test(text);
  return !isBase64 || (local && (await kindOf(text)) !== null) ? text : undefined;
}

async function readBase64(name: string, path: string): Promise<string> {
  const { handle, size } = await openRegular(path);
  try {
    if (size > MAX_FILE || size === 0)
      throw new SafelightError(
        'INVALID_IMAGE',
        `The file of ${name}, ${path}, has ${size} bytes; expected an image of 1 to ${MAX_FILE} bytes`,
      );
    const bytes = Buffer.alloc(size);
    await readFully(handle, bytes, 0, path);
    return bytes.toString('base64');
  } finally {
    await handle.close();
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
