/** The bundled VQGAN model, and default sampling options stored with models. */

import { dirname, join } from 'node:path';
import { z } from 'zod';
import { checkConfig, readConfig } from '../../../checkpoint/config/validate.js';
import { defined } from '../../../defined.js';
import { kindOf } from '../../../files/read.js';
import { bundledModels } from '../../../hub/bundled.js';

/** Absolute path of the bundled starter model that generates images from sketches. */
export const sketchStarter = bundledModels.sketch;

/** Default sampling options of a model, read from `safelight.json` next to its weights. */
export interface VqganDefaults {
  readonly topK?: number;
  readonly topP?: number;
  readonly temperature?: number;
}

const schema = z.lazy(() =>
  z.object({
    topK: z.int().min(1).optional(),
    topP: z.number().gt(0).max(1).optional(),
    temperature: z.number().gt(0).max(100).optional(),
  }),
);

/**
 * Reads the default sampling options of a model; empty if it has no `safelight.json`.
 * @param path a model's folder or file
 * @throws INVALID_FILE
 */
export async function readVqganDefaults(path: string): Promise<VqganDefaults> {
  const folder = (await kindOf(path)) === 'folder' ? path : dirname(path);
  const file = join(folder, 'safelight.json');
  if ((await kindOf(file)) !== 'file') return {};
  return defined(checkConfig(schema, await readConfig(file), file));
}
