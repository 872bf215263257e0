/**
 * Jobs known to the page: queued, running and ended ones with their images. Changes are received as server-sent
 * events.
 */
import { batch, computed, effect, signal } from '@preact/signals';
import { get } from '../api/http.js';
import type { ApiImage, ApiJob } from '../api/types.js';
import { continuedJobs } from '../logic/grid/cells.js';
import { pageVisible } from './visibility.js';

/** An image of the gallery. */
export interface GalleryImage {
  readonly job: ApiJob;
  readonly image: ApiImage;
  /** Index among the images of the job. */
  readonly index: number;
}

const PAGE = 60;

export const jobs = signal<ReadonlyMap<string, ApiJob>>(new Map());
/** True while the event stream is connected. */
export const online = signal(true);
/** True if there are older jobs that have not been loaded. */
export const more = signal(false);
export const loaded = signal(false);

export const running = computed(() => [...jobs.value.values()].filter(({ status }) => status === 'running'));
export const queued = computed(() =>
  [...jobs.value.values()]
    .filter(({ status }) => status === 'queued')
    .sort((a, b) => (a.place ?? 0) - (b.place ?? 0)),
);

/**
 * Images of finished jobs, newest first. A grid that ended early keeps its images, until another job has taken them
 * over.
 */
export const gallery = computed<readonly GalleryImage[]>(() => {
  const all = [...jobs.value.values()];
  const continued = continuedJobs(all);
  return all
    .filter((job) => (job.status === 'done' && !isTrace(job)) || (job.type === 'grid' && hasEnded(job)))
    .filter(({ id }) => !continued.has(id))
    .sort((a, b) => (a.id < b.id ? 1 : -1))
    .flatMap((job) => job.images.map((image, index) => ({ job, image, index })));
});

function hasEnded({ status }: ApiJob): boolean {
  return status !== 'queued' && status !== 'running';
}

/** Returns true for jobs that inspect or score another job's image, which are not part of the gallery. */
export function isTrace(job: ApiJob): boolean {
  return job.type === 'inside' || job.type === 'score';
}

let stopFollowing: (() => void) | undefined;

/**
 * Follows changes of all jobs while the page is visible. After a reconnect, the jobs are loaded again. @param
 * lost called when the server refuses the connection, for example because the key is missing
 */
export function follow(onRefused: () => void): void {
  stopFollowing?.();
  stopFollowing = effect(() => {
    if (!pageVisible.value) return undefined;
    const source = new EventSource('v1/events');
    source.onopen = () => {
      online.value = true;
      void refresh();
    };
    source.onerror = () => {
      online.value = false;
      if (source.readyState === EventSource.CLOSED) setTimeout(onRefused, 3000);
    };
    source.addEventListener('job', ({ data }) => updateJobs(JSON.parse(data) as ApiJob));
    source.addEventListener('removed', ({ data }) => removeJob((JSON.parse(data) as { id: string }).id));
    return () => source.close();
  });
}

export function updateJobs(...changed: readonly ApiJob[]): void {
  const next = new Map(jobs.peek());
  for (const job of changed) {
    // The change may have been sent before a warning that arrived on the job's event stream; the warning is kept.
    const warnings = job.warnings ?? next.get(job.id)?.warnings;
    next.set(job.id, warnings ? { ...job, warnings } : job);
  }
  jobs.value = next;
}

export function removeJob(id: string): void {
  const next = new Map(jobs.peek());
  next.delete(id);
  jobs.value = next;
}

/** Loads the newest jobs, which replace the known jobs of the same period. */
async function refresh(): Promise<void> {
  const { jobs: newest } = await get<{ jobs: ApiJob[] }>(`v1/jobs?limit=${PAGE}`);
  const oldest = newest.at(-1)?.id ?? '';
  const older = [...jobs.peek()].filter(([id]) => id < oldest);
  batch(() => {
    jobs.value = new Map([...older, ...newest.map((job) => [job.id, job] as const)]);
    if (older.length === 0) more.value = newest.length === PAGE;
    loaded.value = true;
  });
}

let loadingMore: Promise<void> | undefined;

/** Loads the next page of older jobs. */
export function loadMore(): Promise<void> {
  loadingMore ??= (async () => {
    const oldest = [...jobs.peek().keys()].sort()[0];
    if (oldest === undefined) return;
    const { jobs: older } = await get<{ jobs: ApiJob[] }>(`v1/jobs?limit=${PAGE}&before=${oldest}`);
    batch(() => {
      updateJobs(...older);
      more.value = older.length === PAGE;
    });
  })().finally(() => {
    loadingMore = undefined;
  });
  return loadingMore;
}
