/** State of the grid on the stage: the visible sheet, and the place of the focus between grid and image. */
import { computed, effect, signal } from '@preact/signals';
import { type ParsedAxes, placeOf } from '../../../lib/pipelines/grid/axes.js';
import { axesOf } from '../logic/grid/cells.js';
import { OVERVIEW, show, stage, staged } from './stage.js';

/** Axes of the grid on the stage; undefined for other jobs. */
export const stagedAxes = computed<ParsedAxes | undefined>(() => {
  const job = staged.value;
  return job?.type === 'grid' ? axesOf(job) : undefined;
});

const chosen = signal<{ readonly job: string; readonly z: number } | null>(null);

/** Sheet of the cell that was generated last. */
const followed = signal<{ readonly job: string; readonly z: number } | null>(null);
effect(() => {
  const cell = staged.value?.progress?.grid?.cell;
  if (cell !== undefined && stagedAxes.value)
    followed.value = { job: staged.peek()!.id, z: placeOf(stagedAxes.value, cell).z };
});

/** Index of the visible sheet: the chosen one, or else that of the cell that was generated last. */
export const visibleSheet = computed(() => {
  const id = staged.value?.id;
  return [chosen.value, followed.value].find((sheet) => sheet?.job === id)?.z ?? 0;
});

export function chooseSheet(z: number): void {
  const job = staged.peek();
  if (job) chosen.value = { job: job.id, z };
}

/** Element that takes the focus when it appears, because the focused one disappears: the image of a cell, or the way back. */
let awaited: number | 'back' | null = null;

/** Focuses an element that has just appeared, if it was awaited. */
export function focusAwaited(element: HTMLElement | null, which: number | 'back'): void {
  if (!element || awaited !== which) return;
  awaited = null;
  element.focus({ preventScroll: which === 'back' });
}

/** Opens an image of the grid on the stage. */
export function openCell(index: number): void {
  const job = stage.peek()?.job;
  if (job === undefined) return;
  chooseSheet(visibleSheet.peek());
  awaited = 'back';
  show(job, index);
}

/** Shows the whole grid of the image on the stage, on the sheet of that image. */
export function showWholeGrid(z: number): void {
  const { job, index } = stage.peek() ?? {};
  if (job === undefined || index === undefined) return;
  chooseSheet(z);
  awaited = index;
  show(job, OVERVIEW);
}
