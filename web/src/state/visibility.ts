/**
 * Visibility of the page. Browsers open at most six connections to a server across all tabs, and every event
 * stream uses one. A tab in the background therefore closes its streams.
 */
import { signal } from '@preact/signals';

/** Milliseconds after which a hidden page counts as invisible. */
const DELAY = 5000;

export const pageVisible = signal(document.visibilityState === 'visible');

let timer: ReturnType<typeof setTimeout> | undefined;
document.addEventListener('visibilitychange', () => {
  clearTimeout(timer);
  if (document.visibilityState === 'visible') pageVisible.value = true;
  else
    timer = setTimeout(() => {
      pageVisible.value = false;
    }, DELAY);
});
