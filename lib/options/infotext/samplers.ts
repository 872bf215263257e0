/** Restores samplers and schedules from generation parameters, including A1111 defaults that it does not write. */

import { defined } from '../../defined.js';
import { writtenByOthers } from '../../image/parameter-fields.js';
import { resolveSampler, type SamplerInfo } from '../../sampling/samplers/index.js';
import { resolveSchedule, schedules } from '../../sampling/schedules/index.js';
import type { GenerationOptions } from '../declarations/generation.js';
import type { HiresOptions } from '../declarations/hires.js';

export interface RestoredSamplers {
  readonly options: Pick<GenerationOptions, 'sampler' | 'schedule' | 'eta' | 'discardPenultimate'>;
  readonly hires: Pick<HiresOptions, 'sampler' | 'schedule' | 'discardPenultimate'>;
  /** Names of fields whose sampler or schedule is unknown. */
  readonly unknown: readonly string[];
}

const AUTOMATIC = 'Automatic';

/** The fields that this module reads. */
export const samplerFields: ReadonlySet<string> = new Set([
  ...['Sampler', 'Schedule type', 'Hires sampler', 'Hires schedule type'],
]);

/**
 * Restores the options of samplers and schedules. In texts of other programs, a missing schedule is Automatic, and
 * samplers have A1111's defaults.
 */
export function restoreSamplers(fields: Readonly<Record<string, string>>): RestoredSamplers {
  const foreign = writtenByOthers(fields);
  const first = named(fields.Sampler, fields['Schedule type']);
  const second = named(unlessSame(fields['Hires sampler']), unlessSame(fields['Hires schedule type']));
  const ignores = (info: SamplerInfo | undefined): boolean => foreign && info?.a1111IgnoresSchedule === true;
  const schedule = ignores(first.info) ? AUTOMATIC : (first.schedule ?? (foreign ? AUTOMATIC : undefined));
  // A1111's second pass uses the schedule of the first; Automatic is resolved for each sampler separately.
  const inherited = second.sampler && foreign && schedule === AUTOMATIC ? AUTOMATIC : undefined;
  const secondSchedule = ignores(second.info) ? AUTOMATIC : (second.schedule ?? inherited);
  const eta = foreign && !('Eta' in fields) ? first.info?.a1111Eta : undefined;
  const discards = foreign && first.info?.discardsPenultimate === true;
  const secondDiscards = second.info?.discardsPenultimate ?? discards;
  return {
    options: {
      ...defined({ sampler: first.sampler, schedule, eta }),
      ...(discards ? { discardPenultimate: true } : {}),
    },
    hires: {
      ...defined({ sampler: second.sampler, schedule: secondSchedule }),
      ...(foreign && secondDiscards !== discards && !('Discard penultimate sigma' in fields)
        ? { discardPenultimate: secondDiscards }
        : {}),
    },
    unknown: [
      ...(first.unknown.sampler ? ['Sampler'] : []),
      ...(first.unknown.schedule ? ['Schedule type'] : []),
      ...(second.unknown.sampler ? ['Hires sampler'] : []),
      ...(second.unknown.schedule ? ['Hires schedule type'] : []),
    ],
  };
}

interface Named {
  readonly sampler: string | undefined;
  readonly schedule: string | undefined;
  readonly info: SamplerInfo | undefined;
  readonly unknown: { readonly sampler: boolean; readonly schedule: boolean };
}

/** Resolves a sampler and schedule; A1111 before 1.9 writes both in one field: `DPM++ 2M Karras`. */
function named(sampler: string | undefined, schedule: string | undefined): Named {
  const resolved = sampler === undefined ? undefined : unlessUnknown(() => resolveSampler(sampler));
  const known = schedule !== undefined && unlessUnknown(() => resolveSchedule(schedule)) !== undefined;
  const implied = schedules.find(({ name }) => name === resolved?.schedule)?.label;
  const automatic = known && schedule.trim().toLowerCase() === 'automatic';
  return {
    sampler: resolved && (resolved.schedule === undefined ? sampler : resolved.sampler.label),
    schedule: known && !(automatic && implied) ? schedule : implied,
    info: resolved?.sampler,
    unknown: { sampler: sampler !== undefined && !resolved, schedule: schedule !== undefined && !known },
  };
}

/** Maps A1111's `Use same sampler` and `Use same scheduler` to undefined. */
function unlessSame(name: string | undefined): string | undefined {
  return name === undefined || /^use same/i.test(name) ? undefined : name;
}

function unlessUnknown<T>(resolve: () => T): T | undefined {
  try {
    return resolve();
  } catch {
    return undefined;
  }
}
