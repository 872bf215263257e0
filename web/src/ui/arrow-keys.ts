/** Arrow keys in rows and columns of buttons. */

/**
 * Moves the focus from button to button with the arrow keys, Home and End.
 * @param buttons selector of the buttons
 * @param box selector of the element around a button that becomes visible
 */
export function moveFocus(
  event: KeyboardEvent & { readonly currentTarget: HTMLElement },
  buttons: string,
  box: string,
): void {
  const { target, key } = event;
  if (!(target instanceof HTMLElement) || !target.matches(buttons)) return;
  const all = [...event.currentTarget.querySelectorAll<HTMLElement>(buttons)];
  const next = nextOf(key, all, all.indexOf(target));
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.closest(box)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function nextOf(key: string, all: readonly HTMLElement[], at: number): HTMLElement | undefined {
  switch (key) {
    case 'ArrowRight':
      return all[at + 1];
    case 'ArrowLeft':
      return all[at - 1];
    case 'ArrowDown':
      return inColumn(all.slice(at + 1), all[at]);
    case 'ArrowUp':
      return inColumn(all.slice(0, Math.max(0, at)).reverse(), all[at]);
    case 'Home':
      return all[0];
    case 'End':
      return all.at(-1);
    default:
      return undefined;
  }
}

/** Returns the first of these elements that is above or below the current one. */
function inColumn(all: readonly HTMLElement[], current: HTMLElement | undefined): HTMLElement | undefined {
  const left = current?.getBoundingClientRect().left ?? 0;
  return all.find((one) => Math.abs(one.getBoundingClientRect().left - left) < 2);
}
