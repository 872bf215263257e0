/** All jobs the page knows: the queue, the running one, and the pictures of those that ended; newest changes come by server-sent events. */
import { batch, computed, effect, signal } from '@preact/signals';
import { get } from '../api/http.js';
import type { ShownImage, ShownJob } from '../api/types.js';
import { awake } from './awake.js';

/** One picture of the gallery. */
export interface Shown {
  readonly job: ShownJob;
  readonly picture: ShownImage;
  /** Its place among the job's pictures. */
  readonly index: number;
}

const PAGE = 60;

export const jobs = signal<ReadonlyMap<string, ShownJob>>(new Map());
/** Whether events arrive. */
export const online = signal(true);
/** Whether there are older jobs that have not been asked for. */
export const more = signal(false);
export const loaded = signal(false);

export const running = computed(() => [...jobs.value.values()].filter(({ status }) => status === 'running'));
export const queued = computed(() =>
  [...jobs.value.values()]
    .filter(({ status }) => status === 'queued')
    .sort((a, b) => (a.place ?? 0) - (b.place ?? 0)),
);

/** Newest first. */
export const gallery = computed<readonly Shown[]>(() =>
  [...jobs.value.values()]
    .filter((job) => job.status === 'done' && !isTrace(job))
    .sort((a, b) => (a.id < b.id ? 1 : -1))
    .flatMap((job) => job.images.map((picture, index) => ({ job, picture, index }))),
);

/** A look inside another job belongs to that one and not into the gallery. */
export function isTrace(job: ShownJob): boolean {
  return job.type === 'inside' || job.type === 'score';
}

let unfollow: (() => void) | undefined;

/**
 * From now on, while the page is looked at; a broken connection is taken up again, and what was missed is asked for.
 * @param lost called where the server does not want us any more, such as without its key
 */
export function follow(lost: () => void): void {
  unfollow?.();
  unfollow = effect(() => {
    if (!awake.value) return undefined;
    const source = new EventSource('/v1/events');
    source.onopen = () => {
      online.value = true;
      void refresh();
    };
    source.onerror = () => {
      online.value = false;
      if (source.readyState === EventSource.CLOSED) setTimeout(lost, 3000);
    };
    source.addEventListener('job', ({ data }) => learn(JSON.parse(data) as ShownJob));
    source.addEventListener('removed', ({ data }) => forget((JSON.parse(data) as { id: string }).id));
    return () => source.close();
  });
}

export function learn(...changed: readonly ShownJob[]): void {
  const next = new Map(jobs.peek());
  for (const job of changed) {
    // A change that was sent before a warning came by the job's own events does not take it away again.
    const warnings = job.warnings ?? next.get(job.id)?.warnings;
    next.set(job.id, warnings ? { ...job, warnings } : job);
  }
  jobs.value = next;
}

export function forget(id: string): void {
  const next = new Map(jobs.peek());
  next.delete(id);
  jobs.value = next;
}

/** What there is now replaces what was known of the same time. */
async function refresh(): Promise<void> {
  const { jobs: newest } = await get<{ jobs: ShownJob[] }>(`/v1/jobs?limit=${PAGE}`);
  const oldest = newest.at(-1)?.id ?? '';
  const older = [...jobs.peek()].filter(([id]) => id < oldest);
  batch(() => {
    jobs.value = new Map([...older, ...newest.map((job) => [job.id, job] as const)]);
    if (older.length === 0) more.value = newest.length === PAGE;
    loaded.value = true;
  });
}

let asking: Promise<void> | undefined;

/** The next page of older jobs. */
export function loadMore(): Promise<void> {
  asking ??= (async () => {
    const oldest = [...jobs.peek().keys()].sort()[0];
    if (oldest === undefined) return;
    const { jobs: older } = await get<{ jobs: ShownJob[] }>(`/v1/jobs?limit=${PAGE}&before=${oldest}`);
    batch(() => {
      learn(...older);
      more.value = older.length === PAGE;
    });
  })().finally(() => {
    asking = undefined;
  });
  return asking;
}
