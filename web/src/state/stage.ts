/** What stands on the stage: a job under way with its previews, or a picture. */
import { computed, effect, signal } from '@preact/signals';
import { get } from '../api/http.js';
import type { JobPreview, ShownImage, ShownJob, Warning } from '../api/types.js';
import { awake } from './awake.js';
import { mode } from './form.js';
import { gallery, isTrace, jobs, learn, loaded, queued, running, type Shown } from './jobs.js';
import { say } from './notes.js';
import { persistentSignal } from './persistent.js';
import { withWarning } from './warnings.js';

export interface Stage {
  readonly job: string;
  /** Which of its pictures. */
  readonly index: number;
}

export const stage = persistentSignal<Stage | null>('stage', (kept) => {
  const { job, index } = (kept ?? {}) as Partial<Stage>;
  return typeof job === 'string' && typeof index === 'number' ? { job, index } : null;
});

/** The picture it is compared with. */
export const compared = signal<Stage | null>(null);

// The comparison belongs to where it was begun.
effect(() => {
  void mode.value;
  compared.value = null;
});

/** The newest preview of the job on the stage, and pictures it has finished so far. */
export const preview = signal<(JobPreview & { readonly job: string }) | null>(null);
const arrived = signal<{ readonly job: string; readonly pictures: readonly ShownImage[] }>({
  job: '',
  pictures: [],
});

export const staged = computed<ShownJob | undefined>(() =>
  stage.value ? jobs.value.get(stage.value.job) : undefined,
);

export function isOpen(job: ShownJob | undefined): boolean {
  return job?.status === 'queued' || job?.status === 'running';
}

/** Pictures of the staged job, those of a job under way too. */
export const pictures = computed<readonly ShownImage[]>(() => {
  const job = staged.value;
  if (!job) return [];
  return isOpen(job) && arrived.value.job === job.id ? arrived.value.pictures : job.images;
});

/** The picture that is looked at, once it is there. */
export const current = computed<Shown | undefined>(() => {
  const job = staged.value;
  const index = stage.value?.index ?? 0;
  const picture = pictures.value[index];
  return job && picture ? { job, picture, index } : undefined;
});

export function show(job: string, index = 0): void {
  stage.value = { job, index };
}

/** To the next older (1) or newer (-1) picture. */
export function browse(direction: 1 | -1): void {
  const all = gallery.peek();
  const at = all.findIndex(({ job, index }) => job.id === stage.peek()?.job && index === stage.peek()?.index);
  const next = at < 0 ? all[0] : all[at + direction];
  if (next) show(next.job.id, next.index);
}

/** Jobs that were known, or asked for by their ids: of one that is gone now nobody needs to ask again. */
const asked = new Set<string>();

// A page that opens shows what was looked at, else what runs, else the newest picture.
effect(() => {
  if (staged.value) asked.add(staged.value.id);
  if (!loaded.value || staged.value) return;
  const id = stage.value?.job;
  if (id !== undefined && !asked.has(id)) {
    asked.add(id);
    get<ShownJob>(`/v1/jobs/${id}`).then(learn, showSomething); // older than the first page of jobs, or gone
  } else showSomething();
});

function showSomething(): void {
  const open = [...running.value, ...queued.value].find((job) => !isTrace(job));
  const first = open ?? gallery.value[0]?.job;
  if (first) show(first.id);
}

const openJob = computed(() => (isOpen(staged.value) ? staged.value!.id : null));

// Follows the job on the stage while it is under way.
effect(() => {
  const id = openJob.value;
  if (id === null || !awake.value) return undefined;
  const source = new EventSource(`/v1/jobs/${id}/events`);
  arrived.value = { job: id, pictures: [] };
  let fresh = true;
  source.onopen = () => {
    fresh = true; // the server may have begun the job anew
  };
  source.addEventListener('preview', ({ data }) => {
    const frame = JSON.parse(data) as JobPreview;
    const last = preview.peek();
    if (!fresh && last?.job === id && last.step > frame.step) return; // comes late
    fresh = false;
    preview.value = { ...frame, job: id };
  });
  source.addEventListener('image', ({ data }) => {
    const { index, ...picture } = JSON.parse(data) as ShownImage & { index: number };
    const before = arrived.peek().pictures.slice(0, index);
    const url = `/v1/jobs/${id}/files/${picture.name}`;
    arrived.value = { job: id, pictures: [...before, { ...picture, url }] };
  });
  source.addEventListener('warning', ({ data }) => {
    const job = jobs.peek().get(id);
    if (job) learn(withWarning(job, JSON.parse(data) as Warning));
  });
  for (const type of ['done', 'failed', 'cancelled'] as const) {
    source.addEventListener(type, ({ data }) => {
      source.close();
      const job = JSON.parse(data) as ShownJob;
      learn(job);
      if (type === 'done')
        say(job.images.length > 1 ? `${job.images.length} pictures are ready` : 'The picture is ready');
      else say(type === 'failed' ? `It failed: ${job.error?.message ?? ''}` : 'Stopped');
    });
  }
  return () => source.close();
});
