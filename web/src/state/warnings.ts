/** Warnings of jobs, and those that the user has dismissed. */
import type { ApiJob, Warning } from '../api/types.js';
import { persistentSignal } from './persistent.js';

/** Maximum number of remembered dismissed warnings. */
const MAX_DISMISSED = 200;

const dismissed = persistentSignal<readonly string[]>('dismissed', (stored) =>
  Array.isArray(stored) ? stored.filter((id): id is string => typeof id === 'string') : [],
);

function keyOf(job: ApiJob, { code, message }: Warning): string {
  return `${job.id} ${code} ${message}`;
}

/** Returns the warnings of a job that have not been dismissed. */
export function openWarnings(job: ApiJob): readonly Warning[] {
  return (job.warnings ?? []).filter((warning) => !dismissed.value.includes(keyOf(job, warning)));
}

export function dismissWarning(job: ApiJob, warning: Warning): void {
  dismissed.value = [...dismissed.peek(), keyOf(job, warning)].slice(-MAX_DISMISSED);
}

/** Returns the job with a warning from its event stream added, unless it already has it. */
export function withWarning(job: ApiJob, warning: Warning): ApiJob {
  const existing = job.warnings ?? [];
  if (existing.some(({ code, message }) => code === warning.code && message === warning.message)) return job;
  return { ...job, warnings: [...existing, warning] };
}
