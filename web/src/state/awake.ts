/**
 * Whether the page is looked at. Browsers open six connections to a server at most, for all tabs together, and events hold one each: a tab
 * in the background lets go of its own, so that the others can go on.
 */
import { signal } from '@preact/signals';

/** Milliseconds for which a page that is left goes on as if it were looked at. */
const PATIENCE = 5000;

export const awake = signal(document.visibilityState === 'visible');

let timer: ReturnType<typeof setTimeout> | undefined;
document.addEventListener('visibilitychange', () => {
  clearTimeout(timer);
  if (document.visibilityState === 'visible') awake.value = true;
  else
    timer = setTimeout(() => {
      awake.value = false;
    }, PATIENCE);
});
