/** Default generation options of a model: `safelight.json` in a folder, or `defaults` in the config of a GGUF file. */
import { z } from 'zod';
import type { GenerationDefaults } from './config/types.js';

/** Parses the defaults; absent fields are omitted rather than undefined. */
export const defaultsSchema = z
  .object({
    steps: z.int().min(1).max(10_000).optional(),
    cfg: z.number().min(-1000).max(1000).optional(),
    sampler: z.string().max(100).optional(),
    schedule: z.string().max(100).optional(),
    eta: z.number().min(0).max(10).optional(),
    width: z.int().min(1).max(65536).optional(),
    height: z.int().min(1).max(65536).optional(),
  })
  .transform(
    (fields) =>
      Object.fromEntries(
        Object.entries(fields).filter(([, value]) => value !== undefined),
      ) as GenerationDefaults,
  );
