/** What buttons and keys do. */
import { post, remove } from '../api/http.js';
import type { ShownJob } from '../api/types.js';
import { excerpt } from '../logic/format.js';
import { readParameters } from '../logic/png-text.js';
import { type Given, requestOf } from '../logic/request.js';
import { type Field, fieldsOf, merged } from '../logic/restore.js';
import type { Mode } from '../logic/settings.js';
import { dataUri, drawing, mask, sheetPng, source, takeSource } from './drafts.js';
import { set, settings } from './form.js';
import { forget, gallery, jobs, learn, queued, running, type Shown } from './jobs.js';
import { complain, note, say } from './notes.js';
import { about } from './session.js';
import { compared, isOpen, show, stage, staged } from './stage.js';

/** Queues what the form says and shows it. */
export async function generate(): Promise<void> {
  const job = await submit();
  if (!job) return;
  compared.value = null;
  show(job.id);
  say('Started');
  // Where all is one column, the result may lie out of sight.
  if (matchMedia('(max-width: 799px)').matches)
    document.querySelector('.stage .frame')?.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
}

/** Queues it and leaves the stage as it is. */
export async function enqueue(): Promise<void> {
  const job = await submit();
  if (job) note(job.place ? `Queued, ${job.place} before it` : 'Queued');
}

async function submit(): Promise<ShownJob | undefined> {
  try {
    const request = requestOf(settings.peek(), await givenPictures(), about.peek());
    const job = await post<ShownJob>('/v1/jobs', request);
    if (!jobs.peek().has(job.id)) learn(job);
    return job;
  } catch (error) {
    complain(error);
    return undefined;
  }
}

async function givenPictures(): Promise<Given> {
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

/** Stops the job on the stage, else the one that runs. */
export async function stop(): Promise<void> {
  const job = isOpen(staged.peek()) ? staged.peek() : running.peek()[0];
  if (job) await cancel(job.id);
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

export async function clearQueue(): Promise<void> {
  for (const { id } of [...queued.peek()].reverse()) await cancel(id);
}

/** Forgets a job and its pictures; the stage goes on to the next. */
export async function discard(job: ShownJob): Promise<void> {
  await attempt(async () => {
    if (stage.peek()?.job === job.id) {
      const all = gallery.peek();
      const at = all.findIndex((shown) => shown.job.id === job.id);
      const next = all.find((shown, i) => i > at && shown.job.id !== job.id) ?? all[at - 1];
      stage.value = next ? { job: next.job.id, index: next.index } : null;
    }
    if (compared.peek()?.job === job.id) compared.value = null;
    await remove(`/v1/jobs/${job.id}/results`);
    forget(job.id);
    say('Deleted');
  });
}

/** Takes over settings of a picture. */
export function reuse(fields: readonly Field[], whole = false): void {
  set(whole ? merged(fields) : Object.assign({}, ...fields.map(({ patch }) => patch)));
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
    const text = await readParameters(file);
    const fields = text === undefined ? [] : fieldsOf(text, about.peek());
    if (fields.length === 0) throw new Error('This picture carries no settings');
    const { mode } = settings.peek();
    set({ ...merged(fields), mode: mode === 'sketch' || mode === 'inside' ? 'text' : mode });
    note(`Settings of “${excerpt(settings.peek().prompt, 40)}” are back`);
  });
}

async function attempt(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    complain(error);
  }
}
