/** Safelight's own package: its folder and version. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of the package, found from lib/, from the bundle in dist/ and from .build/lib alike. */
export const packageFolder = findFolder();

let version: string | undefined;

/** Returns the version in package.json. */
export function packageVersion(): string {
  version ??= readManifest(packageFolder)?.version ?? 'unknown';
  return version;
}

function findFolder(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    if (readManifest(folder)?.name === 'safelight') return folder;
    if (dirname(folder) === folder) return dirname(start); // bundled into another program
  }
}

function readManifest(folder: string): { readonly name?: string; readonly version?: string } | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name?: string };
  } catch {
    return undefined;
  }
}
