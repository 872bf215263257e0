/** The models that ship with the package, which go by names of their own wherever a model is named. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Folders from `lib/` and from `dist/` alike: `starter` draws prompts, `sketch` draws after sketches. */
export const bundledModels = {
  starter: fileURLToPath(new URL('../../models/starter', import.meta.url)),
  sketch: fileURLToPath(new URL('../../models/sketch', import.meta.url)),
} as const;

/** The folder behind the name of a bundled model; undefined for any other name, and for a model that was not packed. */
export function bundledModel(name: string): string | undefined {
  const path = Object.hasOwn(bundledModels, name)
    ? bundledModels[name as keyof typeof bundledModels]
    : undefined;
  return path !== undefined && existsSync(path) ? path : undefined;
}
