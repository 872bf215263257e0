/** Stored form of jobs: a line of JSON for each change, either the job as it is from then on or its removal. */
import { z } from 'zod';
import { isId } from '../../id.js';
import { type Job, jobStatuses } from '../../types.js';

/** A job in its stored form. */
export interface StoredJob extends Omit<Job, 'place' | 'progress'> {
  /** Queued jobs run in ascending order of this number. */
  readonly order: number;
  /** Idempotency-Key of the request. */
  readonly key?: string;
  /** SHA-256 of a request with a key; the same key with a different request is refused. */
  readonly digest?: string;
}

export type StoredChange = StoredJob | { readonly removed: string };

const decoder = new TextDecoder('utf-8', { fatal: true });
const id = z.string().refine(isId);
const changeSchema = z.union([
  z
    .looseObject({
      id,
      ...{ type: z.string(), model: z.string(), client: z.string(), created: z.string() },
      status: z.enum(jobStatuses),
      ...{ options: z.looseObject({}), previews: z.looseObject({}) },
      ...{ started: z.string().optional(), finished: z.string().optional() },
      ...{ attempts: z.int().min(0), order: z.number() },
      images: z.array(z.looseObject({ name: z.string(), type: z.string() })),
      warnings: z.array(z.looseObject({ code: z.string(), message: z.string() })),
      ...{ key: z.string().optional(), digest: z.string().optional() },
    })
    .refine(({ status, finished }) => isUnfinished(status) === (finished === undefined)),
  z.object({ removed: id }),
]);

/** Returns undefined for a line that is no change of a job, such as one that is damaged. */
export function parseChange(line: Uint8Array): StoredChange | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(line));
    return isChange(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isChange(value: unknown): value is StoredChange {
  return changeSchema.safeParse(value).success;
}

export function isUnfinished(status: Job['status']): boolean {
  return status === 'queued' || status === 'running';
}
