/**
 * Jobs queued by this tab; Esc and Stop affect only these. They are stored in sessionStorage, which survives a
 * reload and ends with the tab.
 */
import { signal } from '@preact/signals';

const KEY = 'safelight.own';
const TAB = 'safelight.tab';
/** Maximum number of stored ids; older jobs have ended. */
const MAX_IDS = 500;

const ownIds = signal<ReadonlySet<string>>(new Set(read()));

/** Records a job as queued by this tab. */
export function addOwnJob(id: string): void {
  ownIds.value = new Set([...ownIds.peek(), id].slice(-MAX_IDS));
  store();
}

/** Returns true if this tab queued the job. Signal effects that call it are subscribed to changes. */
export function isOwnJob(id: string): boolean {
  return ownIds.value.has(id);
}

function read(): string[] {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
    return Array.isArray(stored) ? stored.filter((id): id is string => typeof id === 'string') : [];
  } catch {
    return [];
  }
}

function store(): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...ownIds.peek()]));
  } catch {
    // Storage is not available: the ids are lost on reload.
  }
}

/**
 * Detects duplicated tabs, which start with a copy of the original's sessionStorage. The tab asks on a channel if
 * another tab has the same id; if so, it takes a new id and leaves the jobs to the original.
 */
export function separateTabs(): void {
  let tabId = '';
  try {
    tabId = sessionStorage.getItem(TAB) ?? '';
  } catch {}
  const takeNewId = (): void => {
    tabId = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    try {
      sessionStorage.setItem(TAB, tabId);
    } catch {}
  };
  const channel = new BroadcastChannel('safelight.tabs');
  // Distinguishes two tabs with the same id in messages.
  const sender = Math.random();
  let settled = tabId === '';
  channel.onmessage = ({ data }: MessageEvent<{ ask?: string; taken?: string; from: number }>) => {
    if (data.from === sender) return;
    if (data.ask === tabId && settled) channel.postMessage({ taken: tabId, from: sender });
    else if (data.taken === tabId && !settled) {
      settled = true;
      ownIds.value = new Set();
      takeNewId();
      store();
    }
  };
  if (settled) {
    takeNewId();
    return;
  }
  channel.postMessage({ ask: tabId, from: sender });
  setTimeout(() => {
    settled = true;
  }, 1000);
}
