/** Keys that work everywhere on the page. */
import { signal } from '@preact/signals';
import { canStop, enqueue, generate, stop } from './actions.js';
import { endSelecting, selecting } from './found.js';
import { browse, compared } from './stage.js';

export const helpShown = signal(false);

export function listenToKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector('dialog[open]')) return;
    const modified = event.ctrlKey || event.metaKey;
    if (modified && event.key === 'Enter') act(event, () => void generate());
    else if (modified && event.key.toLowerCase() === 'e') act(event, () => void enqueue());
    else if (event.key === 'Escape') end(event);
    else if (modified || event.altKey || typing(event.target)) return;
    else if (event.key === 'ArrowRight' || event.key === 'ArrowDown') act(event, () => browse(1), true);
    else if (event.key === 'ArrowLeft' || event.key === 'ArrowUp') act(event, () => browse(-1), true);
    else if (event.key === '?') act(event, () => (helpShown.value = true));
  });
}

/** Ends one thing, the innermost: a search, the comparison, the selection, or else this tab's job. */
function end(event: KeyboardEvent): void {
  const { target } = event;
  if (target instanceof HTMLInputElement && target.type === 'search' && target.value !== '') return; // empties itself
  if (compared.peek()) act(event, () => (compared.value = null));
  else if (selecting.peek()) act(event, endSelecting);
  else if (canStop.peek()) act(event, () => void stop());
}

/** Up and down scroll the page; only left and right browse, unless a thumbnail has the focus. */
function act(event: KeyboardEvent, work: () => void, browsing = false): void {
  const vertical = event.key === 'ArrowUp' || event.key === 'ArrowDown';
  if (browsing && vertical && !(event.target as Element).closest?.('.gallery')) return;
  event.preventDefault();
  work();
}

/** Whether keys mean text or a value where the focus is. */
function typing(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.closest('input, textarea, select, [role="application"], [role="tab"]') !== null
  );
}
