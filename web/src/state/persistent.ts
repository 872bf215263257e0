/** What survives a reload: small things in localStorage, pictures in IndexedDB. Where a browser keeps neither, nothing breaks. */
import { effect, type Signal, signal } from '@preact/signals';

const PREFIX = 'safelight.';

/** A signal whose value is there again after a reload. */
export function persistentSignal<T>(name: string, revive: (value: unknown) => T): Signal<T> {
  const kept = signal(revive(read(name)));
  effect(() => write(name, kept.value));
  return kept;
}

function read(name: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name) ?? 'null');
  } catch {
    return null;
  }
}

function write(name: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full or forbidden: the page works, it only forgets.
  }
}

let database: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('safelight', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('drafts');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return database;
}

/** Keeps a draft; undefined forgets it. */
export async function keepDraft(name: string, value: unknown): Promise<void> {
  try {
    const store = (await open()).transaction('drafts', 'readwrite').objectStore('drafts');
    if (value === undefined) store.delete(name);
    else store.put(value, name);
  } catch {
    // As above.
  }
}

export async function storedDraft(name: string): Promise<unknown> {
  try {
    const store = (await open()).transaction('drafts').objectStore('drafts');
    return await new Promise((resolve, reject) => {
      const request = store.get(name);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } catch {
    return undefined;
  }
}
