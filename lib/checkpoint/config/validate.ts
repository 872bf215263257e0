/** Validation of config files, which are untrusted: types and ranges by zod, features by tables of supported values. */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { SafelightError } from '../../errors.js';
import { kindOf, readJson } from '../../files/read.js';

const MAX_CONFIG = 4 * 1024 * 1024;

/** Bounds far above those of real models, so that implausible configs are rejected before memory is allocated. */
export const channels = z.int().min(1).max(16384);
export const width = z.int().min(1).max(65536);
export const count = z.int().min(1).max(1024);
/** Transformer blocks per attention of a U-Net; SDXL has 10. */
export const transformerLayers = z.int().min(0).max(128);
export const epsilon = z.number().min(0).max(1);

/** One value for all levels, or one per level. */
export function perLevel<T extends z.ZodType>(value: T) {
  return z.union([value, z.array(value).min(1).max(12)]);
}

export type ConfigFields = Readonly<Record<string, unknown>>;

/** Reads a config.json, whose root must be an object. */
export async function readConfig(path: string): Promise<ConfigFields> {
  return checkConfig(z.record(z.string(), z.unknown()), await readJson(path, MAX_CONFIG), path);
}

/** Reads the config.json in a weight file's folder if it exists and `fits` accepts it; else returns null. */
export async function readConfigBeside(
  file: string,
  fits: (fields: ConfigFields) => boolean,
): Promise<{ fields: ConfigFields; path: string } | null> {
  const path = join(dirname(file), 'config.json');
  if ((await kindOf(path)) !== 'file') return null;
  const fields = await readConfig(path);
  return fits(fields) ? { fields, path } : null;
}

/** @throws INVALID_FILE naming the field */
export function checkConfig<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue?.path.join('.');
  throw new SafelightError(
    'INVALID_FILE',
    `${path}: ${field ? `${field}: ` : ''}${issue?.message ?? 'unexpected value'}; the config is damaged or of another model`,
  );
}

/**
 * Rejects features that are not supported. Absent and null fields are accepted; every value of a list is checked.
 * @param allowed the accepted values of each field
 * @throws UNSUPPORTED_MODEL naming the field and its value
 */
export function requireFeatures(
  config: ConfigFields,
  allowed: Readonly<Record<string, readonly (string | number | boolean)[]>>,
  path: string,
): void {
  for (const [field, values] of Object.entries(allowed)) {
    const value = Object.hasOwn(config, field) ? config[field] : undefined;
    if (value === undefined || value === null) continue;
    const all: unknown[] = Array.isArray(value) ? value : [value];
    if (!all.every((value) => (values as readonly unknown[]).includes(value)))
      throw unsupported(path, field, value);
  }
}

export function unsupported(path: string, field: string, value: unknown, hint?: string): SafelightError {
  const shown = JSON.stringify(value) ?? String(value);
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path}: ${field} is ${shown.length > 80 ? `${shown.slice(0, 80)}...` : shown}, which is not supported${hint ? `; ${hint}` : ''}`,
  );
}

/** Checks divisibility, without which the graph cannot be built. @throws UNSUPPORTED_MODEL */
export function requireMultiple(dividend: number, divisor: number, what: string, path: string): void {
  if (dividend % divisor !== 0) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path}: ${what} (${dividend} is not a multiple of ${divisor}); use another model`,
    );
  }
}
