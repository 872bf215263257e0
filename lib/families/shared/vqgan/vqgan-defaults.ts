/** The model of codes that ships with the package, and what models say of how their codes are best drawn. */

import { dirname, join } from 'node:path';
import { z } from 'zod';
import { checkConfig, readConfig } from '../../../checkpoint/config/validate.js';
import { defined } from '../../../defined.js';
import { kindOf } from '../../../files/read.js';
import { bundledModels } from '../../../hub/bundled.js';

/** The folder of the small model that draws after sketches, from `lib/` and from `dist/` alike. */
export const sketchStarter = bundledModels.sketch;

/** Over Safelight's own, from a `safelight.json` beside the weights. */
export interface VqganDefaults {
  readonly topK?: number;
  readonly topP?: number;
  readonly temperature?: number;
}

const schema = z.object({
  topK: z.int().min(1).optional(),
  topP: z.number().gt(0).max(1).optional(),
  temperature: z.number().gt(0).max(100).optional(),
});

/**
 * @param path a model's folder or file
 * @throws INVALID_FILE
 */
export async function readVqganDefaults(path: string): Promise<VqganDefaults> {
  const folder = (await kindOf(path)) === 'folder' ? path : dirname(path);
  const file = join(folder, 'safelight.json');
  if ((await kindOf(file)) !== 'file') return {};
  return defined(checkConfig(schema, await readConfig(file), file));
}
