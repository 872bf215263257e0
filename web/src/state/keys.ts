/** Global keyboard shortcuts. */
import { signal } from '@preact/signals';
import { canStop, enqueue, generate, stop } from './actions.js';
import { endSelecting, selecting } from './gallery-selection.js';
import { browse, compared } from './stage.js';

export const helpShown = signal(false);

export function listenToKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector('dialog[open]')) return;
    const modified = event.ctrlKey || event.metaKey;
    if (modified && event.key === 'Enter') run(event, () => void generate());
    else if (modified && event.key.toLowerCase() === 'e') run(event, () => void enqueue());
    else if (event.key === 'Escape') handleEscape(event);
    else if (modified || event.altKey || usesKeys(event.target)) return;
    else if (event.key === 'ArrowRight' || event.key === 'ArrowDown') run(event, () => browse(1), true);
    else if (event.key === 'ArrowLeft' || event.key === 'ArrowUp') run(event, () => browse(-1), true);
    else if (event.key === '?') run(event, () => (helpShown.value = true));
  });
}

/**
 * Handles Escape: clears the search, closes the comparison, ends the selection, or else stops the job of this
 * tab.
 */
function handleEscape(event: KeyboardEvent): void {
  const { target } = event;
  if (target instanceof HTMLInputElement && target.type === 'search' && target.value !== '') return; // the search field clears itself
  if (compared.peek()) run(event, () => (compared.value = null));
  else if (selecting.peek()) run(event, endSelecting);
  else if (canStop.peek()) run(event, () => void stop());
}

/** Runs an action. Up and down browse only if a thumbnail has the focus; otherwise they scroll the page. */
function run(event: KeyboardEvent, work: () => void, browsing = false): void {
  const vertical = event.key === 'ArrowUp' || event.key === 'ArrowDown';
  if (browsing && vertical && !(event.target as Element).closest?.('.gallery')) return;
  event.preventDefault();
  work();
}

/** Returns true if the focused element uses keys for text or values. */
function usesKeys(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.closest('input, textarea, select, [role="application"], [role="tab"], .grid-scroll') !== null
  );
}
