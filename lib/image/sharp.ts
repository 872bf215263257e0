import type Sharp from 'sharp';
import { firstLine, SafelightError } from '../errors.js';

let loading: Promise<typeof Sharp> | undefined;

/**
 * Loads sharp on first use, because its library (libvips) takes longer to load than all of Safelight.
 * @throws BINARY_NOT_FOUND if sharp has no binary for this system
 */
export function loadSharp(): Promise<typeof Sharp> {
  loading ??= import('sharp').then(
    ({ default: sharp }) => sharp,
    (cause: unknown) => {
      throw new SafelightError(
        'BINARY_NOT_FOUND',
        `Images cannot be read or written because sharp cannot be loaded (${firstLine(cause)}): run \`npm install --include=optional sharp\``,
        { cause },
      );
    },
  );
  return loading;
}
