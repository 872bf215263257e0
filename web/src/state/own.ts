/** Jobs that this tab queued: Esc and Stop end only these. Kept in sessionStorage, which survives a reload and ends with the tab. */
import { signal } from '@preact/signals';

const KEY = 'safelight.own';
const TAB = 'safelight.tab';
/** Ids that are kept; jobs that old have ended. */
const MOST = 500;

const own = signal<ReadonlySet<string>>(new Set(read()));

/** Remembers a job as this tab's. */
export function claim(id: string): void {
  own.value = new Set([...own.peek(), id].slice(-MOST));
  keep();
}

/** Subscribes the caller to later claims. */
export function isOwn(id: string): boolean {
  return own.value.has(id);
}

function read(): string[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept) ? kept.filter((id): id is string => typeof id === 'string') : [];
  } catch {
    return [];
  }
}

function keep(): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...own.peek()]));
  } catch {
    // Forbidden: the tab knows its jobs until it is reloaded.
  }
}

/**
 * A duplicated tab begins with a copy of the first one's sessionStorage. It asks whether another tab of its number is open, and if one
 * answers, it takes a new number and leaves the jobs to that one.
 */
export function tellTabsApart(): void {
  let tab = '';
  try {
    tab = sessionStorage.getItem(TAB) ?? '';
  } catch {}
  const take = (): void => {
    tab = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    try {
      sessionStorage.setItem(TAB, tab);
    } catch {}
  };
  const channel = new BroadcastChannel('safelight.tabs');
  // Tells two tabs of one number apart while they talk.
  const me = Math.random();
  let settled = tab === '';
  channel.onmessage = ({ data }: MessageEvent<{ ask?: string; taken?: string; from: number }>) => {
    if (data.from === me) return;
    if (data.ask === tab && settled) channel.postMessage({ taken: tab, from: me });
    else if (data.taken === tab && !settled) {
      settled = true;
      own.value = new Set();
      take();
      keep();
    }
  };
  if (settled) {
    take();
    return;
  }
  channel.postMessage({ ask: tab, from: me });
  setTimeout(() => {
    settled = true;
  }, 1000);
}
