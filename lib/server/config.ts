/** Configuration of `safelight serve`, from the command line or a configuration file. */

import { z } from 'zod';
import { BACKEND_FORMS, parseBackend } from '../binding/backend-choice.js';
import type { BackendChoice } from '../binding/types.js';
import { storageTypes } from '../checkpoint/weights/storage.js';
import { precisions } from '../modules/module-options.js';
import { apiLimits, serverLimits } from '../options/limits.js';
import { BASE_PATH } from './base-path.js';

const port = z.int().min(0).max(65_535);
const bytes = z.int().min(2 ** 20);

/**
 * Schema of the configuration. The keys are the long option names, on the command line and in the configuration
 * file.
 */
export const serveSchema = z.strictObject({
  /** `NAME=PATH`, a path, or `owner/name` on the hub. */
  model: z.array(z.string().min(1)).default([]),
  /** A folder of models, searched recursively; the models are offered under their file names. */
  models: z.string().min(1).optional(),
  /** `NAME=PATH`: a tiny autoencoder that decodes the previews of a model. */
  'preview-vae': z.array(z.string().min(1)).default([]),
  /** Offers the bundled models in addition to the others. */
  starter: z.boolean().default(true),
  host: z.string().min(1).default('127.0.0.1'),
  port: port.default(7860),
  /** Path below which a reverse proxy offers the server, such as `/safelight`. */
  'base-path': z
    .string()
    .regex(BASE_PATH, 'expected a path of letters, digits and -._~, such as /safelight')
    .transform((path) => path.replace(/\/$/, ''))
    .default(''),
  'api-key': z.string().min(1).optional(),
  /** `redis://...`: jobs are run by workers on any machines. */
  queue: z.string().min(1).optional(),
  'memory-budget': bytes.optional(),
  /** Folder in which jobs and results are stored. */
  data: z.string().min(1).optional(),
  /** Loads the first model at startup. */
  preload: z.boolean().default(false),
  backend: z
    .custom<BackendChoice>((value) => parseBackend(value) !== undefined, `expected ${BACKEND_FORMS}`)
    .default('auto'),
  storage: z.enum(storageTypes).optional(),
  threads: z.int().min(1).max(1024).optional(),
  memory: z.enum(['fast', 'balanced', 'lean']).default('balanced'),
  precision: z.enum(precisions).default('f32'),
  /** Seconds after which an unused model is unloaded; 0 disables unloading. */
  idle: z.int().min(0).default(900),
  'max-queued': z.int().min(1).max(100_000).default(100),
  'max-side': z.int().min(64).max(apiLimits.maxSide).default(serverLimits.maxSide),
  'max-pixels': z.int().min(4096).default(serverLimits.maxPixels),
  'max-count': z.int().min(1).max(apiLimits.maxCount).default(serverLimits.maxCount),
  'max-steps': z.int().min(1).max(apiLimits.maxSteps).default(serverLimits.maxSteps),
  'max-prompt': z.int().min(1).max(apiLimits.maxPrompt).default(serverLimits.maxPrompt),
  /** Maximum size of a request body in bytes. */
  'max-body': bytes.default(64 * 2 ** 20),
  'keep-jobs': z.int().min(0).default(1000),
  'keep-days': z.number().min(0).max(36_500).default(30),
  /** Origins of other websites whose pages may call this server. */
  cors: z.array(z.url()).default([]),
  /** Additional host names of this server, such as those of a proxy. */
  'allow-host': z.array(z.string().min(1)).default([]),
  'log-level': z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

export type ServeConfig = z.output<typeof serveSchema>;
export type ServeInput = z.input<typeof serveSchema>;
