/** Random valid options generated from their declarations: a new option is tested with the others. */
import fc from 'fast-check';
import type { Field, Fields } from '../../lib/options/field.js';
import { entriesOf } from '../../lib/options/field.js';
import { apiLimits, type Limits } from '../../lib/options/limits.js';
import { rangeOf } from '../../lib/options/validate.js';
import { resolveSampler, samplers } from '../../lib/sampling/samplers/index.js';
import { schedules } from '../../lib/sampling/schedules/index.js';

/** The same options in every run; FAST_CHECK_SEED sets another seed to search for more failures. */
fc.configureGlobal({ seed: Number(process.env.FAST_CHECK_SEED ?? 20_261_130) });

/** Sides stay small, so that every pair of them is within the limit of pixels. */
const LARGEST_SIDE = 4096;

const names = {
  sampler: samplers.flatMap(({ name, label }) => [name, label, `${label} Karras`, `${label} Exponential`]),
  schedule: ['automatic', 'Automatic', ...schedules.flatMap(({ name, label }) => [name, label])],
};

/**
 * Prompts that formats get wrong: line breaks, quotes, text that resembles syntax, halves of surrogate pairs.
 */
const words = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc
    .array(
      fc.constantFrom(
        'Negative prompt: ',
        'Steps: 3, Seed: 4, Size: 8x8',
        '\n',
        '"',
        '\\',
        ' ',
        ', ',
        'a',
        '\r',
        '\0',
        '\ud800',
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join('')),
);

const decimal = (min: number, max: number, above = false): fc.Arbitrary<number> =>
  fc
    .double({
      min,
      max,
      noNaN: true,
      noDefaultInfinity: max !== Number.POSITIVE_INFINITY,
      minExcluded: above,
    })
    // Text has one zero only, without -0.
    .map((value) => (value === 0 ? 0 : value));

export function arbitraryValue(field: Field, limits: Limits = apiLimits): fc.Arbitrary<unknown> {
  const [min, max] = rangeOf(field, limits);
  switch (field.kind) {
    case 'number':
      return decimal(min, max, field.above);
    case 'integer':
      return fc.integer({ min, max });
    case 'side':
      return fc.integer({ min: 1, max: Math.min(limits.maxSide, LARGEST_SIDE) / 8 }).map((side) => 8 * side);
    case 'seed':
      return fc.oneof(
        fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - limits.maxCount }),
        fc.integer({ min: 0, max: 2 ** 32 }),
      );
    case 'boolean':
      return fc.boolean();
    case 'choice':
      return fc.constantFrom(...field.values);
    case 'name':
      return fc.constantFrom(...names[field.of]);
    case 'text':
      return words;
    case 'image':
      return fc.constantFrom('a.png', 'an image.webp', '-x=y.jpg');
    case 'interval':
      return fc.tuple(decimal(min, max), decimal(min, max)).map(([a, b]) => (a <= b ? [a, b] : [b, a]));
    case 'numbers':
      return fc.tuple(...field.names.map(() => decimal(min, max)));
    case 'descending':
      return fc
        .record({
          levels: fc.uniqueArray(decimal(min, max), { minLength: 1, maxLength: 8 }),
          end: fc.boolean(),
        })
        .map(({ levels, end }) => [...levels.sort((a, b) => b - a), ...(end ? [0] : [])]);
    case 'pair':
      return fc.oneof(
        decimal(min, max),
        // A pair of equal numbers is written as one number.
        fc.tuple(decimal(min, max), decimal(min, max)).map(([x, y]) => (x === y ? x : [x, y])),
      );
    case 'size':
      return fc.record({ width: fc.integer({ min, max }), height: fc.integer({ min, max }) });
    case 'object':
      return arbitraryOptions(field.fields, limits);
    case 'custom':
      throw new Error('No values are defined for this kind of option');
  }
}

/** Removes options that conflict with sigmas; the sampler's name may contain a schedule. */
function together({ sigmas, ...options }: Record<string, unknown>): Record<string, unknown> {
  const {
    sampler,
    steps: _,
    schedule: _s,
    discardPenultimate: _d,
    sigmaMin: _l,
    sigmaMax: _h,
    rho: _r,
    ...rest
  } = options;
  if (sigmas === undefined) return options;
  const plain = sampler === undefined ? {} : { sampler: resolveSampler(String(sampler)).sampler.name };
  return { ...rest, ...plain, sigmas };
}

/** Removes options that conflict with others. */
function withoutConflicts(options: Record<string, unknown>): Record<string, unknown> {
  const { stepCache, sag, ...rest } = together(options);
  const caches = rest.deepCache !== undefined || (stepCache !== undefined && stepCache !== 'none');
  return {
    ...rest,
    ...(rest.deepCache === undefined && stepCache !== undefined ? { stepCache } : {}),
    ...(sag !== undefined && !caches ? { sag } : {}),
  };
}

/** Any valid combination of options, including none. */
export function arbitraryOptions(
  fields: Fields,
  limits: Limits = apiLimits,
): fc.Arbitrary<Record<string, unknown>> {
  const all = entriesOf(fields)
    .filter(([, field]) => field.kind !== 'custom')
    .map(([name, field]) => [name, arbitraryValue(field, limits)] as const);
  return fc
    .record(Object.fromEntries(all), { requiredKeys: [], noNullPrototype: true })
    .map(withoutConflicts);
}
