/** Notifications that disappear after a few seconds, and announcements for screen readers. */
import { signal } from '@preact/signals';

export interface Notification {
  readonly id: number;
  readonly text: string;
  readonly isError: boolean;
  /** An action, such as undo. */
  readonly action?: { readonly label: string; readonly run: () => void } | undefined;
}

export const notifications = signal<readonly Notification[]>([]);
/** Text that screen readers announce; not visible. */
export const announcement = signal('');

/** Maximum number of visible notifications. */
const MAX_NOTIFICATIONS = 4;
let nextId = 1;

export function notify(text: string, isError = false, action?: Notification['action']): void {
  if (notifications.peek().some((other) => other.text === text)) return;
  const id = nextId++;
  // Errors stay; any other notification replaces the one before.
  notifications.value = [
    ...notifications.peek().filter((other) => other.isError),
    { id, text, isError, action },
  ].slice(-MAX_NOTIFICATIONS);
  setTimeout(() => dismiss(id), isError || action ? 9000 : 4000);
}

export function showError(error: unknown): void {
  notify(error instanceof Error ? error.message : String(error), true);
}

export function dismiss(id: number): void {
  notifications.value = notifications.peek().filter((other) => other.id !== id);
}

export function announce(text: string): void {
  announcement.value = text;
}
