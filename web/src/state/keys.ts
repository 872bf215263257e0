/** Keys that work everywhere on the page. */
import { signal } from '@preact/signals';
import { enqueue, generate, stop } from './actions.js';
import { running } from './jobs.js';
import { browse, isOpen, staged } from './stage.js';

export const helpShown = signal(false);

export function listenToKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const modified = event.ctrlKey || event.metaKey;
    if (modified && event.key === 'Enter') act(event, () => void generate());
    else if (modified && event.key.toLowerCase() === 'e') act(event, () => void enqueue());
    else if (document.querySelector('dialog[open]')) return;
    else if (event.key === 'Escape' && (isOpen(staged.peek()) || running.peek().length > 0))
      act(event, () => void stop());
    else if (modified || event.altKey || typing(event.target)) return;
    else if (event.key === 'ArrowRight' || event.key === 'ArrowDown') act(event, () => browse(1), true);
    else if (event.key === 'ArrowLeft' || event.key === 'ArrowUp') act(event, () => browse(-1), true);
    else if (event.key === '?') act(event, () => (helpShown.value = true));
  });
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
