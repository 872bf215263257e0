/** Actions of buttons and keyboard shortcuts. */
import { computed, signal } from '@preact/signals';
import { post, remove } from '../api/http.js';
import type { ApiJob } from '../api/types.js';
import { joined, patched } from '../logic/additional-options.js';
import {
  canEnlarge,
  type Enlargement,
  enlargeRequest,
  type Upscaling,
  upscaleRequest,
} from '../logic/enlarge.js';
import { excerpt } from '../logic/format.js';
import { readTexts } from '../logic/png-text.js';
import { type InputImages, type Request, requestOf } from '../logic/request.js';
import { type Field, mergeFields } from '../logic/restore.js';
import { restoredForm } from '../logic/restore-exact.js';
import type { Mode } from '../logic/settings.js';
import { adaptersFor } from './adapters.js';
import { dataUri, drawing, layerPng, mask, setSource, source } from './drafts.js';
import { resetSettings, set, settings } from './form.js';
import { type GalleryImage, gallery, jobs, queued, removeJob, running, updateJobs } from './jobs.js';
import { announce, notify, showError } from './notifications.js';
import { addOwnJob, isOwnJob } from './own-jobs.js';
import { revealStage } from './scroll.js';
import { about } from './session.js';
import { compared, isActive, show, stage, staged, upscaledFrom } from './stage.js';
import { library } from './styles.js';

/** Queues a job with the form's settings and shows it on the stage. */
export async function generate(): Promise<void> {
  const job = await submit(formRequest);
  if (job) showStarted(job);
}

/** Queues a job with the form's settings without showing it. */
export async function enqueue(): Promise<void> {
  const job = await submit(formRequest);
  if (job) notify(job.place ? `Queued, ${job.place} ahead` : 'Queued');
}

/** Queues a job that generates the missing images of a grid. */
export async function continueGrid(id: string): Promise<void> {
  const job = await submit(async () => ({ type: 'grid', options: { continue: id } }));
  if (job) showStarted(job);
}

/** Queues jobs that enlarge images. A single job is shown on the stage. */
export async function enlarge(images: readonly GalleryImage[], parameters: Enlargement): Promise<void> {
  const eligible = images.filter(({ job }) => canEnlarge(job));
  await submitEach(eligible, ({ job, image }) => enlargeRequest(job, image, parameters, about.peek()));
}

/** Queues jobs that upscale images with a model. A single job is shown on the stage. */
export async function upscale(images: readonly GalleryImage[], parameters: Upscaling): Promise<void> {
  await submitEach(images, ({ job, image }) => upscaleRequest(job, image, parameters));
}

async function submitEach(
  images: readonly GalleryImage[],
  requestFor: (image: GalleryImage) => Request,
): Promise<void> {
  for (const image of images) {
    const job = await submit(async () => requestFor(image));
    if (!job) return;
    if (job.type === 'upscale') upscaledFrom.value = { job: job.id, image: image.image };
    if (images.length === 1) showStarted(job);
  }
  if (images.length > 1) notify(`Queued ${images.length}`);
}

function showStarted(job: ApiJob): void {
  compared.value = null;
  show(job.id);
  announce('Started');
  // In the single-column layout, the stage may be outside of the window.
  revealStage('nearest');
}

/** Number of requests being submitted, which have no job yet. */
const submitting = signal(0);
/** True if Stop was pressed in the meantime: the submitted jobs are then cancelled immediately. */
let stopped = false;

async function submit(request: () => Promise<Request>): Promise<ApiJob | undefined> {
  submitting.value++;
  try {
    const job = await post<ApiJob>('v1/jobs', await request());
    addOwnJob(job.id);
    if (!jobs.peek().has(job.id)) updateJobs(job);
    if (stopped) await cancel(job.id);
    return job;
  } catch (error) {
    showError(error);
    return undefined;
  } finally {
    submitting.value--;
    if (submitting.peek() === 0) stopped = false;
  }
}

async function formRequest(): Promise<Request> {
  return requestOf(settings.peek(), await givenImages(), about.peek(), library.peek());
}

async function givenImages(): Promise<InputImages> {
  const { mode } = settings.peek();
  if (mode === 'sketch') {
    const layer = drawing.peek();
    return layer.empty ? {} : { drawing: await dataUri(await layerPng(layer, 0, 255)) };
  }
  const image = source.peek();
  if (mode === 'text' || !image) return {};
  const init = await dataUri(image.blob);
  const layer = mask.peek();
  if (mode === 'picture' || !layer || layer.empty) return { init };
  return { init, mask: await dataUri(await layerPng(layer, 255, 0)) };
}

/**
 * The job that Stop cancels: the one on the stage, or else the running one, but never a job of another tab or
 * client.
 */
const stoppable = computed<ApiJob | undefined>(() => {
  const job = staged.value;
  if (job && isActive(job) && isOwnJob(job.id)) return job;
  return running.value.find(({ id }) => isOwnJob(id));
});
export const canStop = computed(() => stoppable.value !== undefined || submitting.value > 0);

export async function stop(): Promise<void> {
  const job = stoppable.peek();
  if (submitting.peek() > 0) stopped = true;
  else if (job) await cancel(job.id);
}

export async function cancel(id: string): Promise<void> {
  await showErrors(async () => updateJobs(await remove<ApiJob>(`v1/jobs/${id}`)));
}

/** Finishes a job early and keeps its images so far. */
export async function finish(id: string): Promise<void> {
  await showErrors(async () => updateJobs(await post<ApiJob>(`v1/jobs/${id}/finish`, {})));
}

export async function move(id: string, place: number): Promise<void> {
  await showErrors(async () => updateJobs(await post<ApiJob>(`v1/jobs/${id}/move`, { place })));
}

/** Cancels the queued jobs of this tab. */
export async function clearQueue(): Promise<void> {
  const ownJobs = queued.peek().filter(({ id }) => isOwnJob(id));
  for (const { id } of ownJobs.reverse()) await cancel(id);
}

/** Deletes jobs with all their images and shows the next image. */
export async function deleteJobs(...deleted: readonly ApiJob[]): Promise<void> {
  const ids = new Set(deleted.map(({ id }) => id));
  if (ids.has(stage.peek()?.job ?? '')) {
    const all = gallery.peek();
    const at = all.findIndex((shown) => shown.job.id === stage.peek()?.job);
    const isKept = (shown: GalleryImage): boolean => !ids.has(shown.job.id);
    const next = all.slice(Math.max(0, at)).find(isKept) ?? all.slice(0, Math.max(0, at)).findLast(isKept);
    stage.value = next ? { job: next.job.id, index: next.index } : null;
  }
  if (ids.has(compared.peek()?.job ?? '')) compared.value = null;
  for (const id of ids) {
    await showErrors(async () => {
      await remove(`v1/jobs/${id}/results`);
      removeJob(id);
    });
  }
  announce('Deleted');
}

/** Resets the form and offers to undo it. */
export function resetToDefaults(): void {
  const before = resetSettings();
  notify('All settings except the prompt have been reset', false, {
    label: 'Undo',
    run: () => {
      settings.value = before;
    },
  });
}

/** Applies settings of an image to the form. @param isComplete true if `fields` are all settings of the image */
export function reuse(fields: readonly Field[], isComplete = false): void {
  const patch = isComplete ? mergeFields(fields) : patched(fields.map(({ patch }) => patch));
  const further = joined(isComplete ? {} : settings.peek().further, patch.further ?? {});
  set({ ...patch, further });
  notify(isComplete ? 'Applied all settings' : `Applied: ${fields.map(({ label }) => label).join(', ')}`);
}

/** Uses a finished image as the input image. */
export async function useAsInput({ image }: GalleryImage, mode: Mode): Promise<void> {
  await showErrors(async () => {
    await setSource(await (await fetch(image.url)).blob());
    set({ mode });
  });
}

/** Uses a file as the input image, switching to a mode with an input image if necessary. */
export async function takeFile(file: Blob): Promise<void> {
  await showErrors(async () => {
    await setSource(file);
    const { mode } = settings.peek();
    if (mode !== 'picture' && mode !== 'inpaint') set({ mode: 'picture' });
  });
}

/** Restores the form from the settings in an image file. */
export async function restoreFrom(file: Blob): Promise<void> {
  await showErrors(async () => {
    const texts = await readTexts(file);
    const restored = restoredForm(texts, about.peek(), await adaptersFor(texts));
    if (!restored) throw new Error('This image contains no settings');
    const { patch, lost } = restored;
    const { mode } = settings.peek();
    set({ ...patch, mode: mode === 'sketch' || mode === 'inside' ? 'text' : mode });
    const exceptions = lost.length > 0 ? `, except ${excerpt(lost.join(', '), 200)}` : '';
    notify(`Restored the settings of “${excerpt(settings.peek().prompt, 40)}”${exceptions}`, lost.length > 0);
  });
}

async function showErrors(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    showError(error);
  }
}
