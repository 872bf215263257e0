/** Warnings of jobs, and which of them the user has read. */
import type { ShownJob, Warning } from '../api/types.js';
import { persistentSignal } from './persistent.js';

/** Jobs whose dismissed notices are remembered. */
const MOST = 200;

const dismissed = persistentSignal<readonly string[]>('dismissed', (kept) =>
  Array.isArray(kept) ? kept.filter((id): id is string => typeof id === 'string') : [],
);

function keyOf(job: ShownJob, { code, message }: Warning): string {
  return `${job.id} ${code} ${message}`;
}

/** Those that were not dismissed. */
export function openWarnings(job: ShownJob): readonly Warning[] {
  return (job.warnings ?? []).filter((warning) => !dismissed.value.includes(keyOf(job, warning)));
}

export function dismissWarning(job: ShownJob, warning: Warning): void {
  dismissed.value = [...dismissed.peek(), keyOf(job, warning)].slice(-MOST);
}

/** The job with a warning of its event stream; one that it has already is not added again. */
export function withWarning(job: ShownJob, warning: Warning): ShownJob {
  const known = job.warnings ?? [];
  if (known.some(({ code, message }) => code === warning.code && message === warning.message)) return job;
  return { ...job, warnings: [...known, warning] };
}
