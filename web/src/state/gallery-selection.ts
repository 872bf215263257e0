/** Search in the gallery, and selection of images. */
import { computed, effect, signal } from '@preact/signals';
import type { ApiImage } from '../api/types.js';
import { compileQuery, type SearchTexts, searchTexts } from '../logic/search.js';
import { type GalleryImage, gallery, loadMore, more } from './jobs.js';
import { showError } from './notifications.js';
import { about } from './session.js';

export const query = signal('');

/** Cache of the searchable texts of images. */
const texts = new WeakMap<ApiImage, SearchTexts>();

export const searchResults = computed<readonly GalleryImage[]>(() => {
  const text = query.value.trim();
  if (text === '') return gallery.value;
  const matches = compileQuery(text);
  const server = about.value;
  return gallery.value.filter(({ job, image }) => {
    let text = texts.get(image);
    if (!text) {
      text = searchTexts(job, image, server);
      texts.set(image, text);
    }
    return matches(text);
  });
});

/** True in selection mode, in which clicks select images. */
export const selecting = signal(false);
const selected = signal<ReadonlySet<string>>(new Set());
let lastSelected: string | undefined;

function keyOf({ job, index }: GalleryImage): string {
  return `${job.id}/${index}`;
}

export function isSelected(shown: GalleryImage): boolean {
  return selected.value.has(keyOf(shown));
}

/** Selected images that match the search; images that the search hides are never affected by actions. */
export const selection = computed<readonly GalleryImage[]>(() =>
  selecting.value ? searchResults.value.filter((shown) => selected.value.has(keyOf(shown))) : [],
);

export function startSelecting(): void {
  selected.value = new Set();
  lastSelected = undefined;
  selecting.value = true;
}

export function endSelecting(): void {
  selecting.value = false;
  selected.value = new Set();
}

/** Selects or deselects an image. @param range true to select all images from the last selected one */
export function toggleSelected(shown: GalleryImage, range = false): void {
  const key = keyOf(shown);
  const next = new Set(selected.peek());
  const keys = searchResults.peek().map(keyOf);
  const [from, to] = [lastSelected === undefined ? -1 : keys.indexOf(lastSelected), keys.indexOf(key)];
  if (range && from >= 0) {
    for (const between of keys.slice(Math.min(from, to), Math.max(from, to) + 1)) next.add(between);
  } else if (!next.delete(key)) next.add(key);
  lastSelected = key;
  selected.value = next;
}

/** Selects all images that match the search, or none if all are selected. */
export function toggleAll(): void {
  const all = searchResults.peek();
  selected.value = selection.peek().length === all.length ? new Set() : new Set(all.map(keyOf));
}

// While a search is active, older jobs are loaded page by page.
effect(() => {
  if (query.value.trim() === '' || !more.value) return;
  const timer = setTimeout(() => {
    const next = (): void => {
      if (query.peek().trim() === '' || !more.peek()) return;
      loadMore().then(next, showError);
    };
    next();
  }, 300);
  return () => clearTimeout(timer);
});
