/** What buttons and keys do. */
import { computed, signal } from '@preact/signals';
import { post, remove } from '../api/http.js';
import type { ShownJob } from '../api/types.js';
import { canEnlarge, type Enlargement, enlargeRequest } from '../logic/enlarge.js';
import { excerpt } from '../logic/format.js';
import { joined, patched } from '../logic/further.js';
import { readTexts } from '../logic/png-text.js';
import { type Given, type Request, requestOf } from '../logic/request.js';
import { type Field, merged } from '../logic/restore.js';
import { restoredForm } from '../logic/restore-exact.js';
import type { Mode } from '../logic/settings.js';
import { dataUri, drawing, mask, sheetPng, source, takeSource } from './drafts.js';
import { resetSettings, set, settings } from './form.js';
import { forget, gallery, jobs, learn, queued, running, type Shown } from './jobs.js';
import { complain, note, say } from './notes.js';
import { claim, isOwn } from './own.js';
import { about } from './session.js';
import { revealStage } from './sight.js';
import { compared, isOpen, show, stage, staged } from './stage.js';
import { library } from './styles.js';

/** Queues what the form says and shows it. */
export async function generate(): Promise<void> {
  const job = await submit(formRequest);
  if (job) showStarted(job);
}

/** Queues it and leaves the stage as it is. */
export async function enqueue(): Promise<void> {
  const job = await submit(formRequest);
  if (job) note(job.place ? `Queued, ${job.place} before it` : 'Queued');
}

/** Draws images again at a larger size; a single one is shown. */
export async function enlarge(images: readonly Shown[], how: Enlargement): Promise<void> {
  const able = images.filter(({ job }) => canEnlarge(job));
  for (const { job, picture } of able) {
    const made = await submit(async () => enlargeRequest(job, picture, how, about.peek()));
    if (!made) return;
    if (able.length === 1) showStarted(made);
  }
  if (able.length > 1) note(`Queued ${able.length}`);
}

function showStarted(job: ShownJob): void {
  compared.value = null;
  show(job.id);
  say('Started');
  // Where all is one column, the result may lie out of sight.
  revealStage('nearest');
}

/** Requests on their way to the server, which have no job yet. */
const submitting = signal(0);
/** Whether Stop was pressed meanwhile: what they become is cancelled at once. */
let stopped = false;

async function submit(request: () => Promise<Request>): Promise<ShownJob | undefined> {
  submitting.value++;
  try {
    const job = await post<ShownJob>('/v1/jobs', await request());
    claim(job.id);
    if (!jobs.peek().has(job.id)) learn(job);
    if (stopped) await cancel(job.id);
    return job;
  } catch (error) {
    complain(error);
    return undefined;
  } finally {
    submitting.value--;
    if (submitting.peek() === 0) stopped = false;
  }
}

async function formRequest(): Promise<Request> {
  return requestOf(settings.peek(), await givenImages(), about.peek(), library.peek());
}

async function givenImages(): Promise<Given> {
  const { mode } = settings.peek();
  if (mode === 'sketch') {
    const sheet = drawing.peek();
    return sheet.empty ? {} : { drawing: await dataUri(await sheetPng(sheet, 0, 255)) };
  }
  const picture = source.peek();
  if (mode === 'text' || !picture) return {};
  const init = await dataUri(picture.blob);
  const sheet = mask.peek();
  if (mode === 'picture' || !sheet || sheet.empty) return { init };
  return { init, mask: await dataUri(await sheetPng(sheet, 255, 0)) };
}

/** The job that Stop ends: the one on the stage, else the one that runs, and never one that another tab or client queued. */
const stoppable = computed<ShownJob | undefined>(() => {
  const job = staged.value;
  if (job && isOpen(job) && isOwn(job.id)) return job;
  return running.value.find(({ id }) => isOwn(id));
});
export const canStop = computed(() => stoppable.value !== undefined || submitting.value > 0);

export async function stop(): Promise<void> {
  const job = stoppable.peek();
  if (submitting.peek() > 0) stopped = true;
  else if (job) await cancel(job.id);
}

export async function cancel(id: string): Promise<void> {
  await attempt(async () => learn(await remove<ShownJob>(`/v1/jobs/${id}`)));
}

/** Ends it where it is and keeps the picture so far. */
export async function finish(id: string): Promise<void> {
  await attempt(async () => learn(await post<ShownJob>(`/v1/jobs/${id}/finish`, {})));
}

export async function move(id: string, place: number): Promise<void> {
  await attempt(async () => learn(await post<ShownJob>(`/v1/jobs/${id}/move`, { place })));
}

/** Cancels what this tab has waiting in the queue. */
export async function clearQueue(): Promise<void> {
  const own = queued.peek().filter(({ id }) => isOwn(id));
  for (const { id } of own.reverse()) await cancel(id);
}

/** Deletes jobs with all their images; the stage goes on to the next. */
export async function discard(...gone: readonly ShownJob[]): Promise<void> {
  const ids = new Set(gone.map(({ id }) => id));
  if (ids.has(stage.peek()?.job ?? '')) {
    const all = gallery.peek();
    const at = all.findIndex((shown) => shown.job.id === stage.peek()?.job);
    const stays = (shown: Shown): boolean => !ids.has(shown.job.id);
    const next = all.slice(Math.max(0, at)).find(stays) ?? all.slice(0, Math.max(0, at)).findLast(stays);
    stage.value = next ? { job: next.job.id, index: next.index } : null;
  }
  if (ids.has(compared.peek()?.job ?? '')) compared.value = null;
  for (const id of ids) {
    await attempt(async () => {
      await remove(`/v1/jobs/${id}/results`);
      forget(id);
    });
  }
  say('Deleted');
}

/** Resets the form, with a way back. */
export function backToDefaults(): void {
  const before = resetSettings();
  note('Everything but the prompt is at its default', false, {
    label: 'Undo',
    run: () => {
      settings.value = before;
    },
  });
}

/** Takes over settings of a picture. */
export function reuse(fields: readonly Field[], whole = false): void {
  const patch = whole ? merged(fields) : patched(fields.map(({ patch }) => patch));
  const further = joined(whole ? {} : settings.peek().further, patch.further ?? {});
  set({ ...patch, further });
  note(whole ? 'All settings are taken over' : `Taken over: ${fields.map(({ label }) => label).join(', ')}`);
}

/** Makes a finished picture the beginning of the next. */
export async function useAsInput({ picture }: Shown, mode: Mode): Promise<void> {
  await attempt(async () => {
    await takeSource(await (await fetch(picture.url)).blob());
    set({ mode });
  });
}

/** A picture from outside becomes the input; asks for the mode that has one. */
export async function takeFile(file: Blob): Promise<void> {
  await attempt(async () => {
    await takeSource(file);
    const { mode } = settings.peek();
    if (mode !== 'picture' && mode !== 'inpaint') set({ mode: 'picture' });
  });
}

/** The settings that a picture carries, into the form. */
export async function restoreFrom(file: Blob): Promise<void> {
  await attempt(async () => {
    const restored = restoredForm(await readTexts(file), about.peek());
    if (!restored) throw new Error('This picture carries no settings');
    const { patch, lost } = restored;
    const { mode } = settings.peek();
    set({ ...patch, mode: mode === 'sketch' || mode === 'inside' ? 'text' : mode });
    const without = lost.length > 0 ? `, without ${excerpt(lost.join(', '), 200)}` : '';
    note(`Settings of “${excerpt(settings.peek().prompt, 40)}” are back${without}`, lost.length > 0);
  });
}

async function attempt(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    complain(error);
  }
}
