/** State of the stage: an active job with its previews, or an image. */
import { computed, effect, signal } from '@preact/signals';
import { get, resultPath } from '../api/http.js';
import type { ApiImage, ApiJob, JobPreview, Warning } from '../api/types.js';
import { mode } from './form.js';
import { type GalleryImage, gallery, isTrace, jobs, loaded, queued, running, updateJobs } from './jobs.js';
import { announce } from './notifications.js';
import { persistentSignal } from './persistent.js';
import { pageVisible } from './visibility.js';
import { withWarning } from './warnings.js';

/** Index that stands for all images of a grid. */
export const OVERVIEW = -1;

export interface Stage {
  readonly job: string;
  /** Index among the images of the job, or `OVERVIEW`. */
  readonly index: number;
}

export const stage = persistentSignal<Stage | null>('stage', (stored) => {
  const { job, index } = (stored ?? {}) as Partial<Stage>;
  return typeof job === 'string' && typeof index === 'number' ? { job, index } : null;
});

/** The image that the current one is compared with. */
export const compared = signal<Stage | null>(null);

// Changing the mode closes the comparison.
effect(() => {
  void mode.value;
  compared.value = null;
});

/** Newest preview of the job on the stage. */
export const preview = signal<(JobPreview & { readonly job: string }) | null>(null);
/** The image that the newest upscaling job of this tab enlarges, which is shown until the result is there. */
export const upscaledFrom = signal<{ readonly job: string; readonly image: ApiImage } | null>(null);
const finishedImages = signal<{ readonly job: string; readonly images: readonly ApiImage[] }>({
  job: '',
  images: [],
});

export const staged = computed<ApiJob | undefined>(() =>
  stage.value ? jobs.value.get(stage.value.job) : undefined,
);

export function isActive(job: ApiJob | undefined): boolean {
  return job?.status === 'queued' || job?.status === 'running';
}

/** Images of the staged job, including those finished so far of an active job. */
export const images = computed<readonly ApiImage[]>(() => {
  const job = staged.value;
  if (!job) return [];
  return isActive(job) && finishedImages.value.job === job.id ? finishedImages.value.images : job.images;
});

/** The current image; undefined until it is finished. */
export const current = computed<GalleryImage | undefined>(() => {
  const job = staged.value;
  const index = stage.value?.index ?? 0;
  const image = images.value[index];
  return job && image ? { job, image, index } : undefined;
});

/** Shows an image of a job; by default its first, or all images of a grid. */
export function show(job: string, index?: number): void {
  const first = jobs.peek().get(job)?.type === 'grid' ? OVERVIEW : 0;
  stage.value = { job, index: index ?? first };
}

/** Shows the next older (1) or newer (-1) image. */
export function browse(direction: 1 | -1): void {
  const all = gallery.peek();
  const at = all.findIndex(({ job, index }) => job.id === stage.peek()?.job && index === stage.peek()?.index);
  const next = at < 0 ? all[0] : all[at + direction];
  if (next) show(next.job.id, next.index);
}

/** Ids of jobs that were already known or requested, so that a deleted job is not requested again. */
const requestedIds = new Set<string>();

// Initially shows the image of the previous visit, or else an active job, or else the newest image.
effect(() => {
  if (staged.value) requestedIds.add(staged.value.id);
  if (!loaded.value || staged.value) return;
  const id = stage.value?.job;
  if (id !== undefined && !requestedIds.has(id)) {
    requestedIds.add(id);
    get<ApiJob>(`v1/jobs/${id}`).then(updateJobs, showDefault); // older than the first page of jobs, or gone
  } else showDefault();
});

function showDefault(): void {
  const open = [...running.value, ...queued.value].find((job) => !isTrace(job));
  const initial = open ?? gallery.value[0]?.job;
  if (initial) show(initial.id);
}

const openJob = computed(() => (isActive(staged.value) ? staged.value!.id : null));

// Follows the events of the job on the stage while it is active.
effect(() => {
  const id = openJob.value;
  if (id === null || !pageVisible.value) return undefined;
  const source = new EventSource(`v1/jobs/${id}/events`);
  finishedImages.value = { job: id, images: [] };
  let isRestarted = true;
  source.onopen = () => {
    isRestarted = true; // the server may have restarted the job
  };
  source.addEventListener('preview', ({ data }) => {
    const frame = JSON.parse(data) as JobPreview;
    const last = preview.peek();
    if (!isRestarted && last?.job === id && last.step > frame.step) return; // outdated
    isRestarted = false;
    preview.value = { ...frame, job: id };
  });
  source.addEventListener('image', ({ data }) => {
    const { index, ...image } = JSON.parse(data) as ApiImage & { index: number };
    const before = finishedImages.peek().images.slice(0, index);
    const url = resultPath(id, image.name);
    finishedImages.value = { job: id, images: [...before, { ...image, url }] };
  });
  source.addEventListener('warning', ({ data }) => {
    const job = jobs.peek().get(id);
    if (job) updateJobs(withWarning(job, JSON.parse(data) as Warning));
  });
  for (const type of ['done', 'failed', 'cancelled'] as const) {
    source.addEventListener(type, ({ data }) => {
      source.close();
      const job = JSON.parse(data) as ApiJob;
      updateJobs(job);
      if (type === 'done')
        announce(job.images.length > 1 ? `${job.images.length} images are ready` : 'The image is ready');
      else announce(type === 'failed' ? `The job failed: ${job.error?.message ?? ''}` : 'Stopped');
    });
  }
  return () => source.close();
});
