/** Limits of the form's fields: those of the options that they set, within the server's. */
import type { Field } from '../../../lib/options/field.js';
import { type Limits, serverLimits } from '../../../lib/options/limits.js';
import { rangeOf } from '../../../lib/options/validate.js';
import type { About } from '../api/types.js';

/** The smallest number above 0 that a field shows. */
const SMALLEST = 0.001;

/** The server's, and the usual ones until it has said them. */
export function limitsFor(about: About | null): Limits {
  return about?.limits ?? serverLimits;
}

/** @param field the declaration of an option that is a number */
export function limitsOf(field: Field, about: About | null): { min: number; max: number } {
  const limits = limitsFor(about);
  // Below it, a seed is random.
  if (field.kind === 'seed') return { min: -1, max: Number.MAX_SAFE_INTEGER - limits.maxCount };
  const [min, max] = rangeOf(field, limits);
  const isPositive = min > 0 || (field.kind === 'number' && field.above === true);
  return { min: isPositive ? Math.max(min, SMALLEST) : min, max };
}
