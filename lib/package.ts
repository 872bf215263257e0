/** Safelight's own package: its folder and version. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const own = findOwn();

/** Folder of the package, found from lib/, from the bundle in dist/ and from .build/lib alike. */
export const packageFolder = own.folder;

/** Returns the version in package.json. */
export function packageVersion(): string {
  return own.version;
}

/** Returns the content of a folder's package.json; undefined if there is none that can be read. */
export function readManifest(folder: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function findOwn(): { readonly folder: string; readonly version: string } {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const manifest = readManifest(folder);
    if (manifest?.name === 'safelight') return { folder, version: String(manifest.version ?? 'unknown') };
    // Bundled into another program.
    if (dirname(folder) === folder) return { folder: dirname(start), version: 'unknown' };
  }
}
