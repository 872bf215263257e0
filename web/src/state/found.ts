/** The gallery as it is searched, and what is selected in it. */
import { computed, effect, signal } from '@preact/signals';
import type { ShownImage } from '../api/types.js';
import { type Findable, findable, finder } from '../logic/search.js';
import { gallery, loadMore, more, type Shown } from './jobs.js';
import { complain } from './notes.js';
import { about } from './session.js';

export const query = signal('');

/** Texts are put together once an image. */
const texts = new WeakMap<ShownImage, Findable>();

export const found = computed<readonly Shown[]>(() => {
  const words = query.value.trim();
  if (words === '') return gallery.value;
  const matches = finder(words);
  const facts = about.value;
  return gallery.value.filter(({ job, picture }) => {
    let text = texts.get(picture);
    if (!text) {
      text = findable(job, picture, facts);
      texts.set(picture, text);
    }
    return matches(text);
  });
});

/** Whether clicks select; and the selected images by `keyOf`. */
export const selecting = signal(false);
const selected = signal<ReadonlySet<string>>(new Set());
let last: string | undefined;

function keyOf({ job, index }: Shown): string {
  return `${job.id}/${index}`;
}

export function isSelected(shown: Shown): boolean {
  return selected.value.has(keyOf(shown));
}

/** Those that are selected and shown: nothing happens to an image that a search hides. */
export const selection = computed<readonly Shown[]>(() =>
  selecting.value ? found.value.filter((shown) => selected.value.has(keyOf(shown))) : [],
);

export function startSelecting(): void {
  selected.value = new Set();
  last = undefined;
  selecting.value = true;
}

export function endSelecting(): void {
  selecting.value = false;
  selected.value = new Set();
}

/** @param range whether everything since the last one is selected with it */
export function toggleSelected(shown: Shown, range = false): void {
  const key = keyOf(shown);
  const next = new Set(selected.peek());
  const keys = found.peek().map(keyOf);
  const [from, to] = [last === undefined ? -1 : keys.indexOf(last), keys.indexOf(key)];
  if (range && from >= 0) {
    for (const one of keys.slice(Math.min(from, to), Math.max(from, to) + 1)) next.add(one);
  } else if (!next.delete(key)) next.add(key);
  last = key;
  selected.value = next;
}

/** Selects all that are shown, or none where all are selected. */
export function toggleAll(): void {
  const all = found.peek();
  selected.value = selection.peek().length === all.length ? new Set() : new Set(all.map(keyOf));
}

// A search looks through older images too, page by page.
effect(() => {
  if (query.value.trim() === '' || !more.value) return;
  const timer = setTimeout(() => {
    const next = (): void => {
      if (query.peek().trim() === '' || !more.peek()) return;
      loadMore().then(next, complain);
    };
    next();
  }, 300);
  return () => clearTimeout(timer);
});
