/** The models of the package @safelight/starter, which have reserved names. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * Folders of the models: `starter` is text-conditional, `sketch` image-conditional (sketches). The folders do not exist
 * if the package is missing, which npm always installs with Safelight.
 */
export const bundledModels = inPackage();

/** Returns the folder of a bundled model; undefined for other names, and for a model that is not installed. */
export function bundledModel(name: string): string | undefined {
  const path = Object.hasOwn(bundledModels, name)
    ? bundledModels[name as keyof typeof bundledModels]
    : undefined;
  return path !== undefined && existsSync(path) ? path : undefined;
}

function inPackage(): { readonly starter: string; readonly sketch: string } {
  let folder = '@safelight/starter'; // what the error of a missing model names
  try {
    folder = dirname(createRequire(import.meta.url).resolve('@safelight/starter/package.json'));
  } catch {
    // Not installed.
  }
  return { starter: join(folder, 'starter'), sketch: join(folder, 'sketch') };
}
