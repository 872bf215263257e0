/** What the page has to say: short notes that go away, and sentences for screen readers alone. */
import { signal } from '@preact/signals';

export interface Note {
  readonly id: number;
  readonly text: string;
  readonly bad: boolean;
  /** What can be done about it, such as taking it back. */
  readonly action?: { readonly label: string; readonly run: () => void } | undefined;
}

export const notes = signal<readonly Note[]>([]);
/** Read out, not shown. */
export const spoken = signal('');

/** Notes shown at once; more would cover the page. */
const MOST = 4;
let next = 1;

export function note(text: string, bad = false, action?: Note['action']): void {
  if (notes.peek().some((one) => one.text === text)) return;
  const id = next++;
  // Of good news the newest is enough.
  notes.value = [...notes.peek().filter((one) => one.bad), { id, text, bad, action }].slice(-MOST);
  setTimeout(() => dismiss(id), bad || action ? 9000 : 4000);
}

export function complain(error: unknown): void {
  note(error instanceof Error ? error.message : String(error), true);
}

export function dismiss(id: number): void {
  notes.value = notes.peek().filter((one) => one.id !== id);
}

export function say(text: string): void {
  spoken.value = text;
}
