/** The models that ship with the package, which have reserved names. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Folders of the models, resolved from `lib/` and `dist/` alike: `starter` is text-conditional, `sketch`
 * image-conditional (sketches).
 */
export const bundledModels = {
  starter: fileURLToPath(new URL('../../models/starter', import.meta.url)),
  sketch: fileURLToPath(new URL('../../models/sketch', import.meta.url)),
} as const;

/** Returns the folder of a bundled model; undefined for other names, and for a model that is not in the package. */
export function bundledModel(name: string): string | undefined {
  const path = Object.hasOwn(bundledModels, name)
    ? bundledModels[name as keyof typeof bundledModels]
    : undefined;
  return path !== undefined && existsSync(path) ? path : undefined;
}
