/** Limits of the form's fields: those of their options, within the server's limits. */
import type { Field } from '../../../lib/options/field.js';
import { type Limits, serverLimits } from '../../../lib/options/limits.js';
import { rangeOf } from '../../../lib/options/validate.js';
import type { About } from '../api/types.js';

/** Smallest positive number that a field can show. */
const SMALLEST = 0.001;

/** Returns the server's limits, or the default limits until they are loaded. */
export function limitsFor(about: About | null): Limits {
  return about?.limits ?? serverLimits;
}

/** Returns the limits of a field. @param field declaration of a numeric option */
export function limitsOf(field: Field, about: About | null): { min: number; max: number } {
  const limits = limitsFor(about);
  // A seed of -1 is random.
  if (field.kind === 'seed') return { min: -1, max: Number.MAX_SAFE_INTEGER - limits.maxCount };
  const [min, max] = rangeOf(field, limits);
  const isPositive = min > 0 || (field.kind === 'number' && field.above === true);
  return { min: isPositive ? Math.max(min, SMALLEST) : min, max };
}
