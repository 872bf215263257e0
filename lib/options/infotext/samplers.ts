/** Samplers and schedules of generation parameters, with what A1111 does for them and does not write. */

import { defined } from '../../defined.js';
import { writtenByOthers } from '../../image/parameter-fields.js';
import { resolveSampler, type SamplerInfo } from '../../sampling/samplers/index.js';
import { resolveSchedule, schedules } from '../../sampling/schedules/index.js';
import type { GenerationOptions } from '../declarations/generation.js';
import type { HiresOptions } from '../declarations/hires.js';

export interface RestoredSamplers {
  readonly options: Pick<GenerationOptions, 'sampler' | 'schedule' | 'eta' | 'discardPenultimate'>;
  readonly hires: Pick<HiresOptions, 'sampler' | 'schedule' | 'discardPenultimate'>;
  /** Names of fields whose values are no sampler or schedule here. */
  readonly unknown: readonly string[];
}

const AUTOMATIC = 'Automatic';

/** The fields that this module reads. */
export const samplerFields: ReadonlySet<string> = new Set([
  ...['Sampler', 'Schedule type', 'Hires sampler', 'Hires schedule type'],
]);

/**
 * @param fields of the text. Of other programs, a schedule that is not written is Automatic, and the samplers have the defaults that they
 *   have in A1111.
 */
export function restoreSamplers(fields: Readonly<Record<string, string>>): RestoredSamplers {
  const foreign = writtenByOthers(fields);
  const first = named(fields.Sampler, fields['Schedule type']);
  const second = named(unlessSame(fields['Hires sampler']), unlessSame(fields['Hires schedule type']));
  const schedule = first.schedule ?? (foreign ? AUTOMATIC : undefined);
  // A1111's second pass has the schedule of the first, which Automatic settles for each sampler anew.
  const again = second.sampler && foreign && schedule === AUTOMATIC ? AUTOMATIC : undefined;
  const eta = foreign && !('Eta' in fields) ? first.info?.a1111Eta : undefined;
  const discards = foreign && first.info?.discardsPenultimate === true;
  const discardsAgain = second.info?.discardsPenultimate ?? discards;
  return {
    options: {
      ...defined({ sampler: first.sampler, schedule, eta }),
      ...(discards ? { discardPenultimate: true } : {}),
    },
    hires: {
      ...defined({ sampler: second.sampler, schedule: second.schedule ?? again }),
      ...(foreign && discardsAgain !== discards && !('Discard penultimate sigma' in fields)
        ? { discardPenultimate: discardsAgain }
        : {}),
    },
    unknown: [
      ...(first.wrong.sampler ? ['Sampler'] : []),
      ...(first.wrong.schedule ? ['Schedule type'] : []),
      ...(second.wrong.sampler ? ['Hires sampler'] : []),
      ...(second.wrong.schedule ? ['Hires schedule type'] : []),
    ],
  };
}

interface Named {
  readonly sampler: string | undefined;
  readonly schedule: string | undefined;
  readonly info: SamplerInfo | undefined;
  readonly wrong: { readonly sampler: boolean; readonly schedule: boolean };
}

/** Versions of A1111 before 1.9 write both in one: `DPM++ 2M Karras`. */
function named(sampler: string | undefined, schedule: string | undefined): Named {
  const found = sampler === undefined ? undefined : unlessUnknown(() => resolveSampler(sampler));
  const known = schedule !== undefined && unlessUnknown(() => resolveSchedule(schedule)) !== undefined;
  const own = schedules.find(({ name }) => name === found?.schedule)?.label;
  const automatic = known && schedule.trim().toLowerCase() === 'automatic';
  return {
    sampler: found && (found.schedule === undefined ? sampler : found.sampler.label),
    schedule: known && !(automatic && own) ? schedule : own,
    info: found?.sampler,
    wrong: { sampler: sampler !== undefined && !found, schedule: schedule !== undefined && !known },
  };
}

/** A1111 writes `Use same sampler` where it writes anything. */
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
