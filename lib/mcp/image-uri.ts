/** URIs of result images: `safelight://jobs/ID/images/NAME`. */
import { invalidOption } from '../errors.js';
import { isId } from '../jobs/id.js';

/** RFC 6570 template of the URIs. */
export const IMAGE_TEMPLATE = 'safelight://jobs/{job}/images/{name}';
const SCHEME = 'safelight:';
const PATTERN = /^safelight:\/\/jobs\/([^/]+)\/images\/([a-z0-9][a-z0-9.-]{0,63})$/;

/** A result of a job, as job options refer to it. */
export interface ImageReference {
  readonly job: string;
  readonly image: string;
}

export function imageUri(job: string, name: string): string {
  return `${SCHEME}//jobs/${job}/images/${name}`;
}

/** Returns true for any URI of this server, valid or not. */
export function isSafelightUri(text: string): boolean {
  return text.startsWith(SCHEME);
}

/** Returns the image that a URI names; undefined if it is not the URI of an image. */
export function parseImageUri(uri: string): ImageReference | undefined {
  const [, job = '', image = ''] = PATTERN.exec(uri) ?? [];
  return isId(job) ? { job, image } : undefined;
}

/** @param name the option that contains the URI @throws INVALID_OPTION */
export function imageOfUri(name: string, uri: string): ImageReference {
  const reference = parseImageUri(uri);
  if (reference) return reference;
  throw invalidOption(
    name,
    `an image's URI such as ${imageUri('ID', 'NAME')}`,
    uri,
    'resources/list lists them',
  );
}
